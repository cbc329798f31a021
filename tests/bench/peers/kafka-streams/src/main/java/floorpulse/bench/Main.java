package floorpulse.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyWindowStore;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowStore;

/** Kafka Streams: BOOTSTRAP PREFIX RUN FOLDER GUARANTEE; result.jsonl is written when it is asked to stop. */
public final class Main {
  private static final Duration STEP = Duration.ofMinutes(1);
  private static final Duration GRACE = Duration.ofHours(6);
  private static final Map<String, Duration> WINDOWS =
      Map.of("windows-5m", Duration.ofMinutes(5), "windows-30m", Duration.ofMinutes(30));

  private Main() {}

  public static void main(String[] arguments) {
    String prefix = arguments[1];
    Path folder = Path.of(arguments[3]);
    Properties settings = new Properties();
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[2]);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, folder.toString());
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, arguments[4]);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, "1000");
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, "1");
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, "1");
    settings.put("auto.offset.reset", "earliest");
    KafkaStreams streams = new KafkaStreams(topology(prefix), settings);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      leaveResult(streams, folder);
      streams.close(Duration.ofSeconds(20));
    }));
    streams.start();
  }

  private static org.apache.kafka.streams.Topology topology(String prefix) {
    StreamsBuilder builder = new StreamsBuilder();
    Serde<String> text = Serdes.String();
    Serde<Job.Totals> totals = Job.serde(Job.Totals.class);
    Consumed<String, Job.Event> events =
        Consumed.with(text, Job.serde(Job.Event.class))
            .withTimestampExtractor((record, time) -> ((Job.Event) record.value()).atMs());
    builder.addStateStore(
        Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore(Sessions.VISITS), text, Job.serde(Job.Visits.class))
            .withCachingEnabled());
    builder.addStateStore(
        Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore(Sessions.TALKS), text, Job.serde(Job.Talk.class))
            .withCachingEnabled());
    KStream<String, Job.Totals> waits =
        builder.stream(prefix + "queues", events).process(Sessions.Wait::new, Sessions.VISITS);
    KStream<String, Job.Totals> responses =
        builder.stream(prefix + "sessions", events).process(Sessions.Respond::new, Sessions.TALKS);
    KGroupedStream<String, Job.Totals> facts =
        waits.merge(responses).groupByKey(Grouped.with("facts", text, totals));
    WINDOWS.forEach(
        (name, length) ->
            facts
                .windowedBy(TimeWindows.ofSizeAndGrace(length, GRACE).advanceBy(STEP))
                .aggregate(
                    Job.Totals::new,
                    (queue, fact, sum) -> sum.plus(fact),
                    Materialized.<String, Job.Totals, WindowStore<Bytes, byte[]>>as(name)
                        .withKeySerde(text)
                        .withValueSerde(totals)
                        .withRetention(length.plus(GRACE))));
    return builder.build();
  }

  private static void leaveResult(KafkaStreams streams, Path folder) {
    Path unfinished = folder.resolve("result.part");
    try (Writer lines = Files.newBufferedWriter(unfinished)) {
      for (String name : WINDOWS.keySet()) {
        ReadOnlyWindowStore<String, Job.Totals> store =
            streams.store(StoreQueryParameters.fromNameAndType(name, QueryableStoreTypes.windowStore()));
        try (var windows = store.fetchAll(Instant.EPOCH, Instant.ofEpochMilli(Long.MAX_VALUE / 2))) {
          while (windows.hasNext()) {
            var window = windows.next();
            Job.Totals sum = window.value;
            Object[] row = {
              window.key.key(), WINDOWS.get(name).toMillis(), window.key.window().start(), sum.answered, sum.abandoned,
              sum.waitAnsweredMs, sum.waitAbandonedMs, sum.responses, sum.responseMs
            };
            lines.write(Job.line(row) + "\n");
          }
        }
      }
      lines.close();
      Files.move(unfinished, folder.resolve("result.jsonl"));
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }
}
