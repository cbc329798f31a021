package floorpulse.bench;

import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/** Two state machines: waits from the topic of queues, first responses from the topic of sessions. */
final class Sessions {
  static final String VISITS = "visits";
  static final String TALKS = "talks";

  private Sessions() {}

  /** Measures waits. */
  static final class Wait implements Processor<String, Job.Event, String, Job.Totals> {
    private ProcessorContext<String, Job.Totals> context;
    private KeyValueStore<String, Job.Visits> store;

    @Override
    public void init(ProcessorContext<String, Job.Totals> context) {
      this.context = context;
      store = context.getStateStore(VISITS);
    }

    @Override
    public void process(Record<String, Job.Event> record) {
      Job.Event event = record.value();
      boolean entered = event.type.equals("queue.entered");
      if (!entered && !event.type.equals("queue.left")) {
        return;
      }
      Job.Visits visits = store.get(record.key());
      if (entered) {
        visits = visits == null ? new Job.Visits() : visits;
        visits.entered.put(event.queue, record.timestamp());
        store.put(record.key(), visits);
        return;
      }
      Long since = visits == null ? null : visits.entered.remove(event.queue);
      if (since == null) {
        return;
      }
      store.put(record.key(), visits.entered.isEmpty() ? null : visits);
      Job.Totals fact = new Job.Totals();
      if (event.outcome.equals("answered")) {
        fact.answered = 1;
        fact.waitAnsweredMs = record.timestamp() - since;
      } else if (event.outcome.equals("abandoned")) {
        fact.abandoned = 1;
        fact.waitAbandonedMs = record.timestamp() - since;
      } else {
        return;
      }
      context.forward(record.withKey(event.queue).withValue(fact));
    }
  }

  /** Measures first responses. */
  static final class Respond implements Processor<String, Job.Event, String, Job.Totals> {
    private ProcessorContext<String, Job.Totals> context;
    private KeyValueStore<String, Job.Talk> store;

    @Override
    public void init(ProcessorContext<String, Job.Totals> context) {
      this.context = context;
      store = context.getStateStore(TALKS);
    }

    @Override
    public void process(Record<String, Job.Event> record) {
      Job.Event event = record.value();
      switch (event.type) {
        case "session.connected" -> {
          Job.Talk talk = talk(record.key());
          talk.connected = talk.connected == null ? record.timestamp() : talk.connected;
          talk.queue = talk.direct ? talk.queue : event.queue;
          talk.direct = false;
          store.put(record.key(), talk);
        }
        case "session.transferred" -> {
          Job.Talk talk = talk(record.key());
          if (talk.connected != null) {
            talk.direct = event.toAgent != null;
            store.put(record.key(), talk);
          }
        }
        case "session.message" -> message(record, event);
        case "session.ended" -> store.delete(record.key());
        default -> {}
      }
    }

    private void message(Record<String, Job.Event> record, Job.Event event) {
      if (event.automatic || !(event.sender.equals("customer") || event.sender.equals("agent"))) {
        return;
      }
      Job.Talk talk = talk(record.key());
      if (event.sender.equals("customer")) {
        if (talk.customer == null) {
          talk.customer = record.timestamp();
          store.put(record.key(), talk);
        }
        return;
      }
      if (talk.done || talk.connected == null || talk.customer == null) {
        return;
      }
      talk.done = true;
      store.put(record.key(), talk);
      Job.Totals fact = new Job.Totals();
      fact.responses = 1;
      fact.responseMs = record.timestamp() - Math.max(talk.connected, talk.customer);
      context.forward(record.withKey(talk.queue).withValue(fact));
    }

    private Job.Talk talk(String session) {
      Job.Talk known = store.get(session);
      return known == null ? new Job.Talk() : known;
    }
  }
}
