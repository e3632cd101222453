// The headers of a message in the making: counted, dropped, their addresses
// completed where they are ours to complete, and the missing ones added.
#include "assembler.h"

#include "base/text.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/addrlist.h"
#include "mail/date.h"
#include "mail/encoded_words.h"
#include "mail/header.h"
#include "mail/message_id.h"
#include "table/ask.h"

#include <fmt/format.h>

#include <algorithm>

namespace bulkhead
{

using ipc::RewriteContext;

namespace
{

constexpr unsigned bit_of(HeaderKind kind)
{
    return 1u << static_cast<unsigned>(kind);
}

void append_lines(std::string& out, std::string_view text)
{
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        append_text(out, text.substr(begin, end - begin));
        begin = end + 1;
    }
}

// A name in front of an address: words, or a quoted string (RFC 5322, 3.2.5).
std::string phrase(std::string_view name)
{
    const auto plain = [](char c) {
        return is_alpha(c) || is_digit(c) || c == ' ' || static_cast<unsigned char>(c) >= 0x80 ||
               std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
    };
    if (std::ranges::all_of(name, plain))
        return std::string(name);
    std::string out = "\"";
    for (const char c : name) {
        if (c == '"' || c == '\\')
            out += '\\';
        out += c;
    }
    return out + '"';
}

// The same as a comment behind an address.
std::string comment(std::string_view name)
{
    std::string out = "(";
    for (const char c : name) {
        if (c == '(' || c == ')' || c == '\\')
            out += '\\';
        out += c;
    }
    return out + ')';
}

} // namespace

bool Assembler::rewrites_headers() const
{
    return has(ipc::cleanup_flag::rewrite_local) || !params_.remote_header_rewrite_domain().empty();
}

bool Assembler::is_dropped(std::string_view name) const
{
    return std::ranges::any_of(params_.drop_headers(),
                               [&](const std::string& one) { return equals_ignoring_case(one, name); });
}

// The lines of the field, joined by '\n'.
std::string Assembler::text_of(const IncomingHeader& header)
{
    std::string text;
    RecordReader records(header.records);
    for (bool new_line = false;;) {
        const auto record = records.next();
        if (!record || !*record)
            return text;
        if (new_line)
            text += '\n';
        text += (*record)->data;
        new_line = (*record)->is(RecordType::text);
    }
}

void Assembler::log_message_id(std::string_view key, std::string_view value) const
{
    log::info(fmt::format("{}: {}={}", queue_id_, key, printable(value)));
}

// RFC 2045, section 6: what the body's lines may contain.
void Assembler::note_encoding(const IncomingHeader& header)
{
    const std::string text = text_of(header);
    const std::string value = lower(trim(std::string_view(text).substr(text.find(':') + 1)));
    const std::string_view word = std::string_view(value).substr(0, value.find_first_of(" \t;("));
    if (word == "8bit" || word == "binary")
        encoding_ = "8bit";
    else if (word == "7bit" || word == "quoted-printable" || word == "base64")
        encoding_ = "7bit";
}

Task<> Assembler::finish_header()
{
    if (!complete_)
        co_return;
    IncomingHeader header = *std::exchange(complete_, std::nullopt);
    if (inspector_) {
        const bool stays = co_await check_header(header);
        if (!stays || stage_ == Stage::refused)
            co_return;
    }
    if (checks_8bit_header() && has(ipc::cleanup_flag::filter) && has_8bit(text_of(header)))
        co_return refuse_mime("improper use of 8-bit data in message header");
    note_mime_header(header);
    switch (header.kind) {
    case HeaderKind::received:
        ++hops_;
        break;
    case HeaderKind::delivered_to:
        ++deliveries_;
        break;
    case HeaderKind::message_id:
    case HeaderKind::resent_message_id: {
        const std::string text = unfold(text_of(header));
        log_message_id(header.kind == HeaderKind::message_id ? "message-id" : "resent-message-id",
                       trim(std::string_view(text).substr(text.find(':') + 1)));
        break;
    }
    case HeaderKind::content_transfer_encoding:
        if (params_.detect_8bit_encoding())
            note_encoding(header);
        break;
    default:
        break;
    }
    if (std::max(hops_, deliveries_) > params_.hopcount_limit()) {
        refuse(ipc::cleanup_status::too_many_hops, "5.4.0", {}, "message rejected: hopcount exceeded");
        co_return;
    }
    if (starts_with_ignoring_case(header.name, "resent-"))
        seen_resent_ = true;
    if (is_dropped(header.name))
        co_return;
    seen_kinds_ |= bit_of(header.kind);
    const bool addresses = has_sender_addresses(header.kind) || has_recipient_addresses(header.kind);
    if (addresses && !header.cut && rewrites_headers())
        co_await rewrite_header(header);
    if (has(ipc::cleanup_flag::smtputf8) && !(sizes_.send_options & send_option::smtputf8_header) &&
        has_8bit(text_of(header)))
        sizes_.send_options |= send_option::smtputf8_header;
    out_ += header.records;
    check_size();
}

Task<> Assembler::rewrite_header(IncomingHeader& header)
{
    const std::string text = text_of(header);
    const std::size_t begin = text.find(':') + 1;
    const std::string_view body = std::string_view(text).substr(begin);
    AddressListLimits limits;
    limits.addresses = static_cast<std::size_t>(params_.header_address_limit());
    const auto list = parse_address_list(body, limits);
    if (!list) {
        log::warn(fmt::format("{}: header {} left as it is: {}", queue_id_, printable(header.name),
                              list.error().context));
        co_return;
    }
    const AddressRole role =
        has_sender_addresses(header.kind) ? AddressRole::header_sender : AddressRole::header_recipient;
    const RewriteContext context =
        has(ipc::cleanup_flag::rewrite_local) ? RewriteContext::local : RewriteContext::remote;
    std::string changed;
    std::size_t done = 0;
    for (const ListedAddress& one : list->addresses) {
        if (one.address.empty())
            continue;
        const auto mapped = co_await mapped_address(role, context, one.address);
        if (!mapped) {
            refuse(ipc::cleanup_status::temporary, {}, {},
                   fmt::format("{} -- message not accepted, try again later", mapped.error().context));
            co_return;
        }
        if (*mapped == one.address)
            continue;
        changed.append(body, done, one.begin - done);
        changed += external_form(*mapped);
        done = one.end;
    }
    if (changed.empty())
        co_return;
    header.records.clear();
    append_lines(header.records, text.substr(0, begin) + changed + std::string(body.substr(done)));
}

Task<> Assembler::end_headers()
{
    if (complete_) {
        co_await finish_header();
    }
    if (stage_ == Stage::refused)
        co_return;
    if (rewrites_headers() || params_.always_add_missing_headers())
        co_await add_missing_headers();
    if (stage_ == Stage::refused)
        co_return;
    stage_ = Stage::body;
    edit_points_.body = position();
    begin_inspection();
    const std::string first = std::exchange(first_body_records_, {});
    if (inspects_lines() && stage_ != Stage::refused) {
        std::string made;
        const auto look = [&] { inspect_lines(first, made); };
        const bool may_block = policy_.checks && policy_.checks->may_block();
        co_await ask(may_block, look);
        out_ += made;
        after_inspection();
    } else {
        out_ += first;
        if (scanner_)
            feed_scanner(first);
    }
    if (stage_ == Stage::refused)
        co_return;
    if (ends_content_)
        end_content();
}

// RFC 5322, 3.6: every message has a date and an author; a message that is sent on has
// them once more (3.6.6).
Task<> Assembler::add_missing_headers()
{
    const auto lacks = [&](HeaderKind plain, HeaderKind resent) {
        return !(seen_kinds_ & bit_of(seen_resent_ ? resent : plain));
    };
    const std::string_view prefix = seen_resent_ ? "Resent-" : "";
    if (lacks(HeaderKind::message_id, HeaderKind::resent_message_id)) {
        const std::string id = make_message_id(now_.seconds, queue_id_, policy_.myhostname);
        append_text(out_, fmt::format("{}Message-Id: {}", prefix, id));
        log_message_id(seen_resent_ ? "resent-message-id" : "message-id", id);
    }
    if (lacks(HeaderKind::date, HeaderKind::resent_date))
        append_text(out_, fmt::format("{}Date: {}", prefix, rfc5322_date(arrival_.seconds)));
    if (lacks(HeaderKind::from, HeaderKind::resent_from)) {
        const auto line = co_await from_line();
        if (!line) {
            refuse(ipc::cleanup_status::temporary, {}, {},
                   fmt::format("{} -- message not accepted, try again later", line.error().context));
            co_return;
        }
        append_text(out_, fmt::format("{}From: {}", prefix, *line));
    }
    const unsigned recipients = bit_of(HeaderKind::recipient) | bit_of(HeaderKind::resent_recipient) |
                                bit_of(HeaderKind::blind_recipient);
    if (!(seen_kinds_ & recipients) && !params_.undisclosed_recipients().empty())
        append_text(out_, params_.undisclosed_recipients());
}

Task<Result<std::string>> Assembler::from_line()
{
    std::string author = sender_;
    if (author.empty()) {
        auto completed =
            co_await policy_.completer.complete(RewriteContext::local, params_.empty_address_recipient());
        if (!completed)
            co_return completed.error();
        author = *std::move(completed);
    }
    const std::string address = external_form(author);
    if (full_name_.empty())
        co_return address;
    const bool obsolete = params_.header_from_format() == "obsolete";
    const std::string& charset = params_.full_name_charset();
    if (has_8bit(full_name_) && !charset.empty()) { // no reason to need SMTPUTF8
        const std::string words = encoded_words(full_name_, charset);
        co_return obsolete ? fmt::format("{} ({})", address, words) : fmt::format("{} <{}>", words, address);
    }
    if (obsolete)
        co_return address + ' ' + comment(full_name_);
    co_return phrase(full_name_) + " <" + address + '>';
}

} // namespace bulkhead
