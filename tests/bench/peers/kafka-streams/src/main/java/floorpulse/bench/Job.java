package floorpulse.bench;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.OffsetDateTime;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** The job itself: from a session's events to facts of a queue. The same as job.py beside it. */
final class Job {
  private static final ObjectMapper JSON = new ObjectMapper();

  private Job() {}

  /** What of an event is needed. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  static final class Event {
    public String type;
    public String at;
    public String queue;
    public String outcome;
    public String sender;
    public boolean automatic;

    @JsonProperty("to_agent")
    public String toAgent;

    long atMs() {
      return OffsetDateTime.parse(at).toInstant().toEpochMilli();
    }
  }

  /** Since when a session waits in which queue. */
  static final class Visits {
    public Map<String, Long> entered = new HashMap<>();
  }

  /** How far a session's conversation is. */
  static final class Talk {
    public Long connected;
    public Long customer;
    public String queue;
    public boolean done;

    /** An agent has handed it to another one without a queue. */
    public boolean direct;
  }

  /** What a session adds to its queue, and the sums of that. */
  static final class Totals {
    public long answered;
    public long abandoned;
    public long waitAnsweredMs;
    public long waitAbandonedMs;
    public long responses;
    public long responseMs;

    Totals plus(Totals more) {
      Totals sum = new Totals();
      sum.answered = answered + more.answered;
      sum.abandoned = abandoned + more.abandoned;
      sum.waitAnsweredMs = waitAnsweredMs + more.waitAnsweredMs;
      sum.waitAbandonedMs = waitAbandonedMs + more.waitAbandonedMs;
      sum.responses = responses + more.responses;
      sum.responseMs = responseMs + more.responseMs;
      return sum;
    }
  }

  static <T> Serde<T> serde(Class<T> type) {
    var writer = JSON.writerFor(type);
    var reader = JSON.readerFor(type);
    return Serdes.serdeFrom(
        (topic, value) -> {
          try {
            return value == null ? null : writer.writeValueAsBytes(value);
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        },
        (topic, bytes) -> {
          try {
            return bytes == null ? null : reader.<T>readValue(bytes);
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        });
  }

  static String line(Object[] row) {
    try {
      return JSON.writeValueAsString(row);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }
}
