// The scan over a message's headers (mail/header.h), line by line as cleanup does it.
#include "mail/header.h"

#include <benchmark/benchmark.h>

#include <string_view>

using namespace bulkhead;

namespace
{

constexpr std::string_view lines[] = {
    "Received: from client.example.com (client.example.com [192.0.2.1])",
    "\tby mx.example.net (Bulkhead) with ESMTP id 4F2C1A0B",
    "\tfor <recipient@example.net>; Sun, 22 Nov 2026 07:01:51 +0000 (UTC)",
    "From: A Sender <sender@example.com>",
    "To: A Recipient <recipient@example.net>,",
    " Another <another@example.net>",
    "Subject: what a subject looks like",
    "Date: Sun, 22 Nov 2026 07:01:51 +0000",
    "Message-Id: <20261122070151.4F2C1A0B@client.example.com>",
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
    "",
};

void scan_headers(benchmark::State& state)
{
    std::size_t fields = 0;
    for (auto _ : state) {
        HeaderReader reader;
        for (const std::string_view line : lines) {
            benchmark::DoNotOptimize(reader.add(line));
            while (const auto field = reader.take())
                fields += field->body().empty() ? 0 : 1;
        }
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(fields));
}
BENCHMARK(scan_headers);

} // namespace
