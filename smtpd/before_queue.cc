#include "before_queue.h"

#include "async/offload.h"
#include "base/text.h"
#include "log/log.h"
#include "mail/dsn.h"
#include "smtp/ehlo.h"
#include "spool/record.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr std::size_t reply_line_limit = 2048;
constexpr const char* store_folder = "incoming"; // on the file system that has room for mail

// A command goes on as the client has written it, less what could be taken for a line's end.
std::string one_line(std::string text)
{
    std::ranges::replace_if(text, [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, '?');
    return text;
}

Reply passed_on(const PeerReply& reply)
{
    std::vector<std::string> lines;
    for (const std::string& line : reply.lines)
        lines.push_back(printable(line, true));
    return Reply(reply.code, std::move(lines));
}

std::string value_or_unknown(std::string_view value)
{
    return value.empty() || value == "unknown" ? "[UNAVAILABLE]" : encode_xtext(value);
}

Result<UniqueFd> open_store()
{
    UniqueFd fd(::open(store_folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (!fd)
        return system_error("a file for the before-queue filter");
    return fd;
}

Result<> append_to(int fd, std::string_view bytes)
{
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno != EINTR)
            return system_error("write for the before-queue filter");
        bytes.remove_prefix(n > 0 ? static_cast<std::size_t>(n) : 0);
    }
    return {};
}

} // namespace

Task<Result<std::unique_ptr<BeforeQueueFilter>>>
BeforeQueueFilter::open(const FilterSettings& settings, FilterClient client, std::string mail)
{
    std::unique_ptr<BeforeQueueFilter> filter(
        new BeforeQueueFilter(settings, std::move(client), one_line(std::move(mail))));
    if (!settings.whole_messages)
        CO_TRY_VOID(co_await filter->connect());
    co_return std::move(filter);
}

// The dialogue up to the filter's answer to MAIL.
Task<Result<>> BeforeQueueFilter::connect()
{
    auto fd = co_await settings_.server.dial();
    if (!fd)
        co_return Error(fd.error().fault, fmt::format("connect to proxy filter {}: {}",
                                                      settings_.server.spec().name(), fd.error().context));
    stream_ = std::make_unique<Stream>(*std::move(fd));
    stream_->set_timeout(settings_.timeout);
    CO_TRY(const PeerReply greeting, co_await read_reply());
    if (greeting.code != 220)
        co_return Error(Fault::refused, "proxy filter refuses: " + greeting.text);
    CO_TRY(const PeerReply hello, co_await ask("EHLO " + settings_.ehlo));
    CO_TRY_VOID(co_await introduce(hello));
    CO_TRY(const PeerReply answer, co_await ask("MAIL " + mail_));
    if (answer.code / 100 != 2)
        note_refusal("MAIL " + mail_, answer);
    co_return Result<>();
}

Task<Result<>> BeforeQueueFilter::introduce(const PeerReply& hello)
{
    if (hello.code / 100 != 2)
        co_return Error(Fault::refused, "proxy filter refuses EHLO: " + hello.text);
    const Capabilities offered = parse_capabilities(hello);
    struct Row {
        std::string_view name;
        std::string value;
    };
    const std::array<Row, 7> rows = {{
        {"NAME", value_or_unknown(client_.name)},
        {"ADDR", value_or_unknown(client_.address)},
        {"PORT", value_or_unknown(client_.port)},
        {"HELO", value_or_unknown(client_.helo)},
        {"IDENT", value_or_unknown(client_.ident)},
        {"PROTO", value_or_unknown(client_.protocol)},
        {"SOURCE", client_.local ? "LOCAL" : "REMOTE"},
    }};
    std::string command = "XFORWARD";
    for (const Row& row : rows)
        if (offered.offers_xforward(row.name))
            command += fmt::format(" {}={}", row.name, row.value);
    if (offered.xforward.empty())
        co_return Result<>();
    CO_TRY(const PeerReply answer, co_await ask(command));
    if (answer.code / 100 != 2)
        log::warn(fmt::format("proxy {} rejected \"{}\": \"{}\"", settings_.server.spec().name(), command,
                              answer.text));
    co_return Result<>();
}

Task<Result<PeerReply>> BeforeQueueFilter::ask(std::string command)
{
    stream_->write(command);
    stream_->write("\r\n");
    co_return co_await read_reply();
}

Task<Result<PeerReply>> BeforeQueueFilter::read_reply()
{
    ReplyParser parser;
    for (;;) {
        const auto line = co_await stream_->read_line(reply_line_limit);
        if (!line)
            co_return Error(
                line.error().fault,
                fmt::format("proxy filter {}: {}", settings_.server.spec().name(), line.error().context));
        CO_TRY(const bool complete, parser.add_line(line->text));
        if (complete)
            co_return parser.take();
    }
}

void BeforeQueueFilter::note_refusal(std::string_view command, const PeerReply& reply)
{
    log::warn(fmt::format("proxy {} rejected \"{}\": \"{}\"", settings_.server.spec().name(),
                          printable(command, true), reply.text));
    // Not what a server may answer here: the client shall try again.
    refusal_ = reply.code >= 400 && reply.code < 600 ? passed_on(reply)
                                                     : Reply(451, "4.3.0", "Error: queue file write error");
}

Task<Result<Reply>> BeforeQueueFilter::add_recipient(std::string arguments)
{
    std::string command = one_line("RCPT " + arguments);
    if (settings_.whole_messages) {
        recipients_.push_back(std::move(command));
        co_return Reply();
    }
    if (refusal_.code != 0)
        co_return refusal_; // of MAIL
    CO_TRY(const PeerReply answer, co_await ask(command));
    if (answer.code / 100 == 2)
        co_return Reply();
    note_refusal(command, answer);
    co_return std::exchange(refusal_, Reply());
}

Task<Result<Reply>> BeforeQueueFilter::begin_text()
{
    if (settings_.whole_messages) {
        const auto open_file = [] { return open_store(); };
        CO_TRY(store_, co_await offload(open_file));
        co_return Reply();
    }
    CO_TRY(const PeerReply answer, co_await ask("DATA"));
    if (answer.code == 354)
        co_return Reply();
    note_refusal("DATA", answer);
    co_return refusal_;
}

// Records of the message's text become lines of SMTP; those of the envelope were said before.
Result<> BeforeQueueFilter::take_text()
{
    RecordReader reader(records_);
    for (;;) {
        TRY(const auto record, reader.next());
        if (!record)
            break;
        if (record->is(RecordType::message_start))
            in_text_ = true;
        else if (record->is(RecordType::extracted_start))
            in_text_ = false;
        else if (in_text_ && (record->is(RecordType::text) || record->is(RecordType::text_part)))
            writer_.line(text_, record->data, record->is(RecordType::text));
    }
    records_.clear();
    return {};
}

Task<Result<>> BeforeQueueFilter::send_some()
{
    CO_TRY_VOID(take_text());
    if (settings_.whole_messages) {
        const auto store = [&] { return append_to(store_.get(), text_); };
        CO_TRY_VOID(co_await offload(store));
        stored_ += text_.size();
    } else {
        stream_->write(text_);
        CO_TRY_VOID(co_await stream_->flush());
    }
    text_.clear();
    co_return Result<>();
}

// The dialogue that was put off, up to the last line of the text.
Task<Result<>> BeforeQueueFilter::play_stored()
{
    CO_TRY_VOID(co_await connect());
    for (const std::string& command : recipients_) {
        if (refusal_.code != 0)
            co_return Result<>();
        CO_TRY(const PeerReply answer, co_await ask(command));
        if (answer.code / 100 != 2)
            note_refusal(command, answer);
    }
    if (refusal_.code != 0)
        co_return Result<>();
    CO_TRY(const PeerReply answer, co_await ask("DATA"));
    if (answer.code != 354) {
        note_refusal("DATA", answer);
        co_return Result<>();
    }
    std::string block(block_size, '\0');
    for (std::uint64_t done = 0; done < stored_;) {
        const auto load = [&] {
            return ::pread(store_.get(), block.data(), block.size(), static_cast<off_t>(done));
        };
        const ssize_t n = co_await offload(load);
        if (n <= 0)
            co_return system_error("read for the before-queue filter");
        stream_->write(std::string_view(block).substr(0, static_cast<std::size_t>(n)));
        CO_TRY_VOID(co_await stream_->flush());
        done += static_cast<std::uint64_t>(n);
    }
    co_return Result<>();
}

Task<Result<Reply>> BeforeQueueFilter::end_text()
{
    CO_TRY_VOID(co_await send_some());
    if (settings_.whole_messages)
        CO_TRY_VOID(co_await play_stored());
    if (refusal_.code == 0) {
        writer_.finish(stream_->output());
        CO_TRY(const PeerReply answer, co_await read_reply());
        if (answer.code / 100 != 2)
            note_refusal("end of data", answer);
        else
            refusal_ = passed_on(answer);
    }
    stream_->write("QUIT\r\n");
    stream_->send_what_fits();
    co_return std::exchange(refusal_, Reply());
}

Task<Result<ipc::CleanupResult>> BeforeQueueFilter::finish(unsigned)
{
    co_return Error(Fault::broken, "the filter answers itself");
}

} // namespace bulkhead
