// The record codec of queue files (spool/record.h): a message of 4 KiB made into records, and
// read back.
#include "spool/record.h"

#include <benchmark/benchmark.h>

#include <string>

using namespace bulkhead;

namespace
{

constexpr int line_count = 64;

std::string message()
{
    std::string records;
    append_record(records, RecordType::sender, "sender@example.com");
    append_record(records, RecordType::recipient, "recipient@example.com");
    append_record(records, RecordType::message_start, {});
    const std::string line(62, 'x');
    for (int i = 0; i < line_count; ++i)
        append_text(records, line);
    append_record(records, RecordType::extracted_start, {});
    append_record(records, RecordType::end, {});
    return records;
}

void append_records(benchmark::State& state)
{
    std::size_t bytes = 0;
    for (auto _ : state) {
        const std::string records = message();
        benchmark::DoNotOptimize(records.data());
        bytes += records.size();
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}
BENCHMARK(append_records);

void read_records(benchmark::State& state)
{
    const std::string records = message();
    for (auto _ : state) {
        RecordReader reader(records);
        for (auto record = reader.next(); record && *record; record = reader.next())
            benchmark::DoNotOptimize((*record)->data);
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(records.size()));
}
BENCHMARK(read_records);

} // namespace
