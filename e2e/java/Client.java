import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.*;

/**
 * What an application does with Kafka's client: administration, records of every
 * compression, groups, transactions. It uses only what clients of 2.8 have, too.
 *
 *   java -cp 'DIR/*' Client.java HOST:PORT PREFIX
 *
 * The names of topics and groups begin with PREFIX. What is not as it should be
 * ends it with an exception.
 */
public class Client {
    static String servers, prefix;

    public static void main(String[] args) throws Exception {
        servers = args[0];
        prefix = args[1];
        administration();
        records();
        groups();
        transactions();
        fencing();
    }

    static Map<String, Object> config(Object... pairs) {
        Map<String, Object> m = new HashMap<>();
        m.put("bootstrap.servers", servers);
        for (int i = 0; i < pairs.length; i += 2) m.put((String) pairs[i], pairs[i + 1]);
        return m;
    }

    static Producer<String, String> producer(Object... pairs) {
        return new KafkaProducer<>(config(pairs), new StringSerializer(), new StringSerializer());
    }

    static Consumer<String, String> consumer(Object... pairs) {
        Map<String, Object> m = config("auto.offset.reset", "earliest", "enable.auto.commit", false);
        m.putAll(config(pairs));
        return new KafkaConsumer<>(m, new StringDeserializer(), new StringDeserializer());
    }

    static void want(String what, Object got, Object want) {
        if (!Objects.equals(got, want)) throw new IllegalStateException(what + ": got " + got + ", want " + want);
    }

    static void administration() throws Exception {
        try (Admin admin = Admin.create(config())) {
            NewTopic made = new NewTopic(prefix + "records", 3, (short) 1).configs(Map.of("retention.ms", "3600000"));
            var topics = admin.createTopics(List.of(made, new NewTopic(prefix + "in", 1, (short) 1), new NewTopic(prefix + "out", 1, (short) 1)));
            topics.all().get();
            want("partitions", topics.numPartitions(prefix + "records").get(), 3);
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, prefix + "records");
            want("retention", admin.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value(), "3600000");
            want("brokers", admin.describeCluster().nodes().get().size(), 1);
            want("listed", admin.listTopics().names().get().contains(prefix + "records"), true);
        }
        System.out.println("administration");
    }

    static void records() throws Exception {
        String topic = prefix + "records";
        int sent = 0;
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            try (Producer<String, String> p = producer("compression.type", codec, "enable.idempotence", true, "acks", "all", "linger.ms", 5)) {
                for (int i = 0; i < 200; i++) {
                    ProducerRecord<String, String> r = new ProducerRecord<>(topic, "k" + i, codec + i);
                    r.headers().add("codec", codec.getBytes());
                    p.send(r, (where, failed) -> { if (failed != null) throw new IllegalStateException(failed); });
                    sent++;
                }
                p.flush();
            }
        }
        Map<String, String> read = new HashMap<>();
        try (Consumer<String, String> c = consumer()) {
            List<TopicPartition> all = List.of(new TopicPartition(topic, 0), new TopicPartition(topic, 1), new TopicPartition(topic, 2));
            c.assign(all);
            c.seekToBeginning(all);
            long ends = c.endOffsets(all).values().stream().mapToLong(n -> n).sum();
            want("records in the topic", ends, (long) sent);
            while (read.size() < sent)
                for (ConsumerRecord<String, String> r : c.poll(Duration.ofSeconds(1)))
                    read.put(r.value(), new String(r.headers().lastHeader("codec").value()));
        }
        for (Map.Entry<String, String> e : read.entrySet()) want("header of " + e.getKey(), e.getKey().startsWith(e.getValue()), true);
        System.out.println("records");
    }

    static void groups() throws Exception {
        String topic = prefix + "records";
        Set<String> read = new HashSet<>();
        try (Consumer<String, String> a = consumer("group.id", prefix + "g"); Consumer<String, String> b = consumer("group.id", prefix + "g")) {
            a.subscribe(List.of(topic));
            b.subscribe(List.of(topic));
            while (read.size() < 1000 || a.assignment().isEmpty() || b.assignment().isEmpty())
                for (Consumer<String, String> c : List.of(a, b)) {
                    for (ConsumerRecord<String, String> r : c.poll(Duration.ofMillis(100))) read.add(r.value());
                    try {
                        c.commitSync();
                    } catch (CommitFailedException | RebalanceInProgressException rebalancing) {
                        continue; // what was not committed comes again
                    }
                }
            want("partitions of the two", a.assignment().size() + b.assignment().size(), 3);
        }
        try (Consumer<String, String> c = consumer("group.id", prefix + "g")) {
            c.subscribe(List.of(topic));
            for (int n = 0; n < 5 || c.assignment().isEmpty(); n++) want("records after the commits", c.poll(Duration.ofMillis(100)).count(), 0);
        }
        System.out.println("groups");
    }

    // Consume, transform, produce: what was aborted is done again, nothing twice.
    static void transactions() throws Exception {
        TopicPartition in = new TopicPartition(prefix + "in", 0), out = new TopicPartition(prefix + "out", 0);
        try (Producer<String, String> p = producer()) {
            for (int i = 0; i < 30; i++) p.send(new ProducerRecord<>(in.topic(), "" + i));
        }
        try (Producer<String, String> p = producer("transactional.id", prefix + "t");
                Consumer<String, String> c = consumer("group.id", prefix + "etl", "max.poll.records", 10)) {
            p.initTransactions();
            c.subscribe(List.of(in.topic()));
            boolean abort = true;
            for (long done = 0; done < 30; ) {
                ConsumerRecords<String, String> batch = c.poll(Duration.ofSeconds(1));
                if (batch.isEmpty()) continue;
                p.beginTransaction();
                long next = 0;
                for (ConsumerRecord<String, String> r : batch) {
                    p.send(new ProducerRecord<>(out.topic(), r.value()));
                    next = r.offset() + 1;
                }
                p.sendOffsetsToTransaction(Map.of(in, new OffsetAndMetadata(next)), c.groupMetadata());
                if (abort) {
                    p.flush();
                    p.abortTransaction();
                    c.seek(in, done);
                } else {
                    p.commitTransaction();
                    done = next;
                }
                abort = !abort;
            }
            want("the committed offset", c.committed(Set.of(in)).get(in).offset(), 30L);
        }
        for (String level : List.of("read_committed", "read_uncommitted")) {
            List<String> read = new ArrayList<>();
            try (Consumer<String, String> c = consumer("isolation.level", level)) {
                c.assign(List.of(out));
                long end = c.endOffsets(List.of(out)).get(out);
                while (c.position(out) < end) for (ConsumerRecord<String, String> r : c.poll(Duration.ofSeconds(1))) read.add(r.value());
            }
            List<String> once = new ArrayList<>();
            for (int i = 0; i < 30; i++) once.add("" + i);
            if (level.equals("read_committed")) want("committed", read, once);
            else want("aborted ones are there for who wants them", read.size(), 60);
        }
        System.out.println("transactions");
    }

    static void fencing() throws Exception {
        try (Producer<String, String> old = producer("transactional.id", prefix + "f"); Producer<String, String> now = producer("transactional.id", prefix + "f")) {
            old.initTransactions();
            old.beginTransaction();
            old.send(new ProducerRecord<>(prefix + "out", "fenced")).get();
            now.initTransactions();
            try {
                old.commitTransaction();
                throw new IllegalStateException("a producer that was replaced has committed");
            } catch (ProducerFencedException fenced) {
                System.out.println("fencing");
            }
        }
    }
}
