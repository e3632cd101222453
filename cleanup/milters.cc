#include "milters.h"

#include "async/offload.h"
#include "base/text.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/header.h"
#include "spool/content_reader.h"
#include "table/ask.h"

#include <fmt/format.h>

#include <algorithm>

namespace bulkhead
{

namespace
{

using milter::Answer;
using milter::Edit;

constexpr std::size_t max_header_bytes = 16u << 20; // of one message, in memory
constexpr std::size_t max_shown_header = 60;        // in log lines
constexpr std::size_t body_block = 60'000;

// Where the content is: in memory as long as nothing of it has been written.
ContentReader reader_of(Assembler& message, NewQueueFile& file, std::int64_t offset)
{
    if (message.output().empty())
        return {file.fd(), offset};
    return {std::string_view(message.output()), offset};
}

std::string angles(std::string_view internal)
{
    return '<' + external_form(internal) + '>';
}

} // namespace

Result<> MessageMilters::take_over(const std::vector<std::string>& states, std::vector<UniqueFd> descriptors)
{
    if (states.size() != descriptors.size())
        return Error{Fault::malformed, "milters and their connections do not agree in number"};
    for (std::size_t i = 0; i < states.size(); ++i) {
        TRY(auto filter,
            milter::Filter::imported(states[i], std::move(descriptors[i]), service_.macros, storage_));
        filters_.push_back(std::move(filter));
    }
    return {};
}

milter::MacroValue MessageMilters::macros_of(const Assembler& message) const
{
    return [this, &message](std::string_view name) -> std::optional<std::string> {
        const auto fact = [&](std::string_view attribute) -> std::optional<std::string> {
            std::string value = message.fact(attribute);
            return value.empty() ? std::nullopt : std::optional(std::move(value));
        };
        const std::string& sender = message.sender();
        if (name == "i")
            return queue_id_;
        if (name == "j")
            return service_.myhostname;
        if (name == "v")
            return service_.macro_v;
        if (name == "daemon_name")
            return service_.daemon_name;
        if (name == "mail_addr")
            return external_form(sender);
        if (name == "_")
            return fact("log_message_origin").value_or("localhost [127.0.0.1]");
        if (name == "client_addr")
            return fact("client_address").value_or("127.0.0.1");
        if (name == "client_name")
            return fact("client_name").value_or("localhost");
        if (name == "client_ptr")
            return fact("reverse_client_name").value_or("localhost");
        if (name == "client_port")
            return fact("client_port").value_or("0");
        if (name == "daemon_addr")
            return fact("server_address");
        if (name == "daemon_port")
            return fact("server_port");
        if (name == "auth_type")
            return fact("sasl_method");
        if (name == "auth_authen")
            return fact("sasl_username");
        if (name == "auth_author")
            return fact("sasl_sender");
        return std::nullopt;
    };
}

// The events that smtpd would have told of.
Task<> MessageMilters::open_local(Assembler& message)
{
    const milter::MacroValue value = macros_of(message);
    const milter::Client client{"localhost", "127.0.0.1", 0, false};
    const std::vector<std::string> sender{angles(message.sender())};
    for (const milter::Settings& settings : service_.local) {
        auto filter = std::make_unique<milter::Filter>(settings, service_.macros);
        Answer answer = co_await filter->connect(client, value);
        if (!answer.refused())
            answer = co_await filter->helo("localhost", value);
        if (!answer.refused())
            answer = co_await filter->mail(sender, value);
        for (const Assembler::Written& one : message.written()) {
            if (answer.refused() || answer.kind == Answer::Kind::discard)
                break;
            std::string recipient = one.original;
            const milter::MacroValue with_recipient = [&](std::string_view name) {
                return name == "rcpt_addr" ? std::optional(external_form(recipient)) : value(name);
            };
            const std::vector<std::string> arguments{angles(recipient)};
            answer = co_await filter->rcpt(arguments, with_recipient);
        }
        if (!answer.refused() && answer.kind != Answer::Kind::discard)
            answer = co_await filter->data(value);
        const bool goes_on = obey(*filter, answer, message);
        filters_.push_back(std::move(filter));
        if (!goes_on)
            co_return;
    }
}

void MessageMilters::log_event(const Assembler& message, std::string_view what, std::string_view text) const
{
    log::info(fmt::format("{}: {}: END-OF-MESSAGE from {}: {}{}", queue_id_, what, message.origin(),
                          printable(text, true), message.circumstances()));
}

// False: the message's fate is decided.
bool MessageMilters::obey(milter::Filter&, const Answer& answer, Assembler& message)
{
    switch (answer.kind) {
    case Answer::Kind::go_on:
        return true;
    case Answer::Kind::hold:
        log_event(message, "milter-hold", "milter triggers HOLD action");
        message.hold();
        return true;
    case Answer::Kind::discard:
        log_event(message, "milter-discard", "milter triggers DISCARD action");
        message.discard();
        return false;
    case Answer::Kind::refuse:
        break;
    }
    const Reply& reply = answer.reply;
    std::string text;
    for (const std::string& line : reply.lines)
        text += (text.empty() ? "" : "\n") + line;
    std::string shown = reply.dsn + (reply.dsn.empty() ? "" : " ") + text;
    std::ranges::replace(shown, '\n', ' ');
    log_event(message, "milter-reject", shown);
    ipc::CleanupResult result;
    result.status = reply.code < 500 ? ipc::cleanup_status::temporary : ipc::cleanup_status::rejected;
    result.reason = std::move(text);
    result.dsn = reply.dsn;
    result.code = reply.code;
    message.refuse_content(std::move(result));
    return false;
}

// Header fields as they stand in the file, unchecked bytes and all.
Task<Result<>> MessageMilters::read_headers(Assembler& message, NewQueueFile& file)
{
    bool own = true; // the first one, if it is a Received:
    const auto read = [&]() -> Result<> {
        ContentReader content = reader_of(message, file, message.edit_points().content);
        std::string field;
        std::size_t bytes = 0;
        bool inside = false;
        const auto close = [&] {
            const auto colon = field.find(':');
            if (colon != field.npos) {
                Header header{std::string(header_field_name(field)), field.substr(colon + 1), false};
                header.own = own && equals_ignoring_case(header.name, "received");
                headers_.push_back(std::move(header));
                own = false;
            }
            field.clear();
        };
        for (;;) {
            TRY(const auto record, content.next());
            if (!record)
                break;
            const bool continues =
                inside || (!field.empty() && !record->data.empty() && is_blank(record->data.front()));
            if (!continues) {
                close();
                if (header_field_name(record->data).empty())
                    return {};
            } else if (!inside) {
                field += '\n';
            }
            field += record->data;
            bytes += record->data.size();
            if (bytes > max_header_bytes)
                return Error{Fault::limit, "the message has too many headers for milters"};
            inside = record->is(RecordType::text_part);
        }
        close();
        return {};
    };
    const auto place = message.output().empty() ? std::optional(Pool::files) : std::nullopt;
    OffloadAwaiter<decltype(read)> reading(read, place);
    co_return co_await reading;
}

Task<Result<Answer>> MessageMilters::show_body(milter::Filter& filter, Assembler& message, NewQueueFile& file)
{
    if (body_) {
        for (std::size_t at = 0; at < body_->size() && filter.wants_body(); at += milter::max_body_chunk) {
            const std::string_view chunk = std::string_view(*body_).substr(at, milter::max_body_chunk);
            Answer answer = co_await filter.body(chunk);
            if (answer.kind != Answer::Kind::go_on)
                co_return answer;
        }
        co_return Answer();
    }
    ContentReader content = reader_of(message, file, message.edit_points().body);
    const auto blank = content.next(); // the line between headers and body
    if (!blank)
        co_return blank.error();
    bool more = blank->has_value();
    std::string block;
    while (more && filter.wants_body()) {
        const auto read_block = [&] { return content.read_text(block, body_block, "\r\n"); };
        const auto place = message.output().empty() ? std::optional(Pool::files) : std::nullopt;
        OffloadAwaiter<decltype(read_block)> reading(read_block, place);
        const auto read = co_await reading;
        if (!read)
            co_return read.error();
        more = *read;
        while (!block.empty() && filter.wants_body()) {
            const std::string_view chunk = std::string_view(block).substr(0, milter::max_body_chunk);
            Answer answer = co_await filter.body(chunk);
            if (answer.kind != Answer::Kind::go_on)
                co_return answer;
            block.erase(0, chunk.size());
        }
    }
    co_return Answer();
}

Task<Result<Answer>> MessageMilters::show(milter::Filter& filter, Assembler& message, NewQueueFile& file,
                                          std::vector<Edit>& edits)
{
    const milter::MacroValue value = macros_of(message);
    for (std::size_t i = 0; i < headers_.size() && filter.wants_headers(); ++i) {
        if (headers_[i].own)
            continue;
        Answer answer = co_await filter.header(headers_[i].name, headers_[i].value, value);
        if (answer.kind != Answer::Kind::go_on)
            co_return answer;
    }
    Answer answer = co_await filter.end_of_headers(value);
    if (answer.kind != Answer::Kind::go_on)
        co_return answer;
    auto body = co_await show_body(filter, message, file);
    if (!body || body->kind != Answer::Kind::go_on)
        co_return body;
    co_return co_await filter.end_of_message(value, edits);
}

Task<Result<>> MessageMilters::run(Assembler& message, NewQueueFile& file)
{
    if (!message.result().ok() || message.is_discarded())
        co_return Result<>();
    const auto read = co_await read_headers(message, file);
    if (!read)
        co_return read;
    for (const auto& filter : filters_) {
        if (filter->is_broken() && filter->fd() < 0 && storage_.empty()) {
            continue; // could not be had, and its default action is done
        }
        std::vector<Edit> edits;
        auto answer = co_await show(*filter, message, file, edits);
        if (!answer)
            co_return answer.error();
        const bool whole = !filter->is_broken();
        // A filter that broke off in the middle of its changes has changed nothing.
        if (whole && (answer->kind == Answer::Kind::go_on))
            co_await apply(std::move(edits), message);
        const bool goes_on = obey(*filter, *answer, message);
        if (!goes_on || !message.result().ok() || message.is_discarded())
            co_return Result<>();
    }
    co_return co_await write_changes(message, file);
}

// milter_header_checks: false when the message is refused.
Task<bool> MessageMilters::passes_checks(const Edit& edit, Assembler& message)
{
    if (edit.value.empty() || !service_.header_checks.has(HeaderClass::primary))
        co_return true;
    const std::string text = unfold(edit.name + ": " + edit.value);
    const auto look = [&] { return service_.header_checks.header(HeaderClass::primary, text); };
    CheckAnswer answer = co_await ask(service_.header_checks.may_block(), look);
    if (answer.action == CheckAction::dunno)
        co_return true;
    Finding finding;
    finding.action = answer.action;
    finding.subject = text.substr(0, max_shown_header);
    finding.text = std::move(answer.text);
    finding.table = "milter_header_checks";
    message.apply({finding}, "milter-header-");
    co_return message.result().ok();
}

Task<> MessageMilters::apply(std::vector<Edit> edits, Assembler& message)
{
    bool replaced = false;
    for (Edit& edit : edits) {
        switch (edit.kind) {
        case Edit::Kind::add_header:
        case Edit::Kind::insert_header:
        case Edit::Kind::change_header: {
            const bool passes = co_await passes_checks(edit, message);
            if (!passes)
                co_return;
            if (edit.kind == Edit::Kind::change_header)
                change_header(edit);
            else
                add_header(edit);
            headers_changed_ = true;
            break;
        }
        case Edit::Kind::replace_body:
            if (!std::exchange(replaced, true))
                body_.emplace();
            body_->append(edit.value);
            break;
        case Edit::Kind::add_recipient:
            added_.push_back(std::move(edit.value));
            break;
        case Edit::Kind::delete_recipient:
            std::erase(added_, edit.value);
            deleted_.push_back(std::move(edit.value));
            break;
        case Edit::Kind::change_sender:
            sender_ = edit.value;
            message.set_sender(std::move(edit.value));
            break;
        case Edit::Kind::quarantine:
            if (!message.is_held())
                log_event(message, "milter-hold", "milter triggers HOLD action");
            message.hold();
            break;
        }
    }
}

static std::string with_space(const std::string& value)
{
    return value.empty() || is_blank(value.front()) ? value : ' ' + value;
}

// Index 0 is the top; index 1 is behind our Received:, which filters take for nobody's.
void MessageMilters::add_header(const Edit& edit)
{
    Header header{edit.name, with_space(edit.value), false};
    if (edit.kind == Edit::Kind::add_header || edit.index >= headers_.size()) {
        headers_.push_back(std::move(header));
        return;
    }
    headers_.insert(headers_.begin() + static_cast<std::ptrdiff_t>(edit.index), std::move(header));
}

// The index counts headers of that name, from 1; one that is not there is added.
void MessageMilters::change_header(const Edit& edit)
{
    std::uint32_t count = 0;
    const std::uint32_t wanted = std::max<std::uint32_t>(edit.index, 1);
    for (std::size_t i = 0; i < headers_.size(); ++i) {
        if (headers_[i].own || !equals_ignoring_case(headers_[i].name, edit.name) || ++count != wanted)
            continue;
        if (edit.value.empty())
            headers_.erase(headers_.begin() + static_cast<std::ptrdiff_t>(i));
        else
            headers_[i].value = with_space(edit.value);
        return;
    }
    if (!edit.value.empty())
        headers_.push_back({edit.name, with_space(edit.value), false});
}

// Headers as they are now, and the body if it was replaced.
std::string MessageMilters::content_records(Assembler& message, std::int64_t& length) const
{
    std::string records;
    const auto append_lines = [&](std::string_view text) {
        for (std::size_t begin = 0; begin <= text.size();) {
            const std::size_t end = std::min(text.find('\n', begin), text.size());
            std::string_view line = text.substr(begin, end - begin);
            if (line.ends_with('\r'))
                line.remove_suffix(1);
            append_text(records, line);
            begin = end + 1;
        }
    };
    for (const Header& header : headers_)
        append_lines(header.text());
    const MessageSizes& sizes = message.sizes();
    const EditPoints& points = message.edit_points();
    if (!body_) {
        length =
            static_cast<std::int64_t>(records.size()) + sizes.data_offset + sizes.content_bytes - points.body;
        return records;
    }
    append_text(records, {});
    std::string_view body = *body_;
    if (body.ends_with('\n'))
        body.remove_suffix(1);
    if (!body_->empty())
        append_lines(body);
    length = static_cast<std::int64_t>(records.size());
    return records;
}

// New records go behind the end, and pointers lead there and back: what was written is not
// moved (queue-format.md section 7).
Task<Result<>> MessageMilters::write_changes(Assembler& message, NewQueueFile& file)
{
    if (!headers_changed_ && !body_ && added_.empty() && deleted_.empty() && !sender_)
        co_return Result<>();
    const EditPoints points = message.edit_points();
    MessageSizes& sizes = message.sizes_to_edit();
    const std::int64_t content_end = sizes.data_offset + sizes.content_bytes; // X
    const std::int64_t file_end = file.size() + static_cast<std::int64_t>(message.output().size());
    std::string made;
    struct Patch {
        std::int64_t offset;
        std::string bytes;
    };
    std::vector<Patch> patches;
    const auto jump = [&](std::int64_t from) {
        std::string pointer;
        append_fixed_number(pointer, RecordType::pointer, file_end + static_cast<std::int64_t>(made.size()));
        patches.push_back({from, std::move(pointer)});
    };
    if (sender_) {
        jump(points.sender);
        append_record(made, RecordType::sender, *sender_);
        append_fixed_number(made, RecordType::pointer, points.behind_sender);
    }
    if (headers_changed_ || body_) {
        jump(points.content);
        std::int64_t length = 0;
        made += content_records(message, length);
        append_fixed_number(made, RecordType::pointer, body_ ? content_end : points.body);
        sizes.content_length = length;
    }
    for (const std::string& gone : deleted_)
        for (const Assembler::Written& one : message.written())
            if (equals_ignoring_case(one.original, gone) || equals_ignoring_case(one.address, gone))
                patches.push_back({one.offset, "/"});
    if (!added_.empty()) {
        jump(points.end);
        for (const std::string& address : added_) {
            CO_TRY(const std::string records, co_await message.late_recipient(address));
            made += records;
        }
        append_fixed_number(made, RecordType::pointer, points.end + empty_pointer_bytes);
    }
    if (!message.output().empty() && file.size() == 0) {
        std::string& out = message.output();
        for (const Patch& patch : patches)
            out.replace(static_cast<std::size_t>(patch.offset), patch.bytes.size(), patch.bytes);
        out += made;
        co_return Result<>();
    }
    const auto write = [&]() -> Result<> {
        TRY_VOID(file.append(made));
        for (const Patch& patch : patches)
            TRY_VOID(file.patch(patch.offset, patch.bytes));
        return {};
    };
    co_return co_await offload(write);
}

std::string MessageMilters::states() const
{
    std::string states;
    for (const auto& filter : filters_)
        states += filter->is_broken() ? '-' : '+';
    return states;
}

} // namespace bulkhead
