// What a hostile client sends: command lines, and the text of a message cut
// into chunks in different ways, which must give the same lines each time and
// survive being written out again.
#include "smtp/command.h"
#include "smtp/data_reader.h"
#include "smtp/data_writer.h"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

using namespace bulkhead;

static void require(bool promise)
{
    if (!promise)
        std::abort();
}

static void check_reply(const Reply& reply)
{
    const std::string wire = reply.wire();
    require(reply.code >= 500 && wire.ends_with("\r\n") && wire.find_first_of("\r\n") == wire.size() - 2);
}

static void check_command(std::string_view line, const CommandOptions& options)
{
    const CommandLine command = split_command(line);
    if (const auto mail = parse_mail(command.arguments, options); !mail)
        check_reply(mail.error());
    if (const auto rcpt = parse_rcpt(command.arguments, options); !rcpt)
        check_reply(rcpt.error());
    if (const auto helo = parse_helo(command.verb, command.arguments); !helo)
        check_reply(helo.error());
}

class Collected final : public DataSink
{
public:
    void line(std::string_view text, bool complete) override
    {
        require(text.find_first_of("\r\n") == std::string_view::npos);
        all.append(text).push_back(complete ? '\n' : '\r');
        writer_.line(wire, text, complete);
    }
    void finish() { writer_.finish(wire); }

    std::string all;
    std::string wire;

private:
    DataWriter writer_{0};
};

// The message in chunks of that many bytes.
static std::size_t read_data(std::string_view bytes, std::size_t limit, std::size_t chunk, Collected& sink)
{
    DataReader reader(limit);
    std::size_t used = 0;
    while (used < bytes.size() && !reader.finished())
        used += reader.feed(bytes.substr(used, chunk), sink);
    sink.finish();
    return used;
}

static void check_data(std::string_view bytes, std::size_t limit)
{
    Collected whole;
    const std::size_t used = read_data(bytes, limit, bytes.size() + 1, whole);
    for (const std::size_t chunk : {1u, 2u, 3u, 7u}) {
        Collected parts;
        require(read_data(bytes, limit, chunk, parts) == used);
        require(parts.all == whole.all);
    }
    // The next server sees one message, and its end where we put it.
    Collected next;
    require(read_data(whole.wire, limit, whole.wire.size(), next) == whole.wire.size());
    require(next.wire == whole.wire);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    check_command(text, {});
    CommandOptions everything;
    everything.auth = everything.smtputf8 = true;
    check_command(text, everything);
    // An unfinished message has no lines to compare.
    const std::string ended = std::string(text) + "\r\n.\r\n";
    check_data(ended, default_line_length_limit);
    check_data(ended, 5);
    return 0;
}
