#include "mail/delivery_notice.h"

#include "base/text.h"
#include "mail/address.h"
#include "mail/date.h"
#include "mail/header.h"

#include <algorithm>
#include <utility>

namespace bulkhead
{

namespace
{

using Lines = std::vector<std::string>;

constexpr std::size_t line_width = 76;           // where text is folded
constexpr std::size_t word_limit = 900;          // a longer word is cut in two: no line of ours reaches 998
constexpr std::size_t text_limit = 8'000;        // bytes shown of one reason or reply
constexpr std::size_t boundary_limit = 70;       // RFC 2046, 5.1.1
constexpr std::uint64_t headers_limit = 200'000; // bytes of headers returned without size_limit

// Text in lines of moderate length: the first starts with lead, the others are
// indented, which also folds a header field (RFC 5322, 2.2.3).
void put_folded(Lines& out, std::string lead, std::string_view text, bool utf8 = false)
{
    constexpr std::string_view indent = "    ";
    const std::string clean = printable(text.substr(0, text_limit), utf8);
    std::string line = std::move(lead);
    bool has_word = false;
    for (std::string_view word : split(clean, " ")) {
        while (!word.empty()) {
            if (has_word && line.size() + 1 + word.size() > line_width)
                out.push_back(std::exchange(line, std::string(indent)));
            const auto part = word.substr(0, word_limit);
            line.append(line == indent ? "" : " ").append(part);
            word.remove_prefix(part.size());
            has_word = true;
        }
    }
    out.push_back(std::move(line));
}

// External form for people and headers.  A queue file from elsewhere may hold
// any length.
std::string shown_address(std::string_view internal, bool utf8 = false)
{
    return printable(external_form(internal).substr(0, word_limit), utf8);
}

std::string boundary_of(const DeliveryNotice& notice)
{
    std::string boundary =
        printable(notice.queue_id + '.' + std::to_string(notice.now) + '/' + notice.myhostname);
    std::ranges::replace_if(boundary, [](char c) { return c == '"' || c == '\\' || c == ' '; }, '_');
    boundary.resize(std::min(boundary.size(), boundary_limit));
    return boundary;
}

struct Words {
    std::string_view subject;
    std::string_view postmaster_subject;
    std::string_view part; // Content-Description of the original
    std::vector<std::string_view> explanation;
    std::vector<std::string_view> postmaster_explanation;
};

Words words_for(NoticeKind kind)
{
    switch (kind) {
    case NoticeKind::failure:
        break;
    case NoticeKind::delay:
        return {"Delayed Mail (still being retried)",
                "Postmaster Warning: Delayed Mail",
                "Delayed Message",
                {"Your message has not reached the recipients below yet.",
                 "It stays in the queue and further attempts will be made:", "you need not send it again."},
                {"A message has been waiting for delivery for some time.",
                 "Further attempts will be made. Its sender was told."}};
    case NoticeKind::success:
        return {"Successful Mail Delivery Report",
                "Postmaster Copy: Successful Mail Delivery Report",
                "Delivered Message",
                {"Your message was handed over for the recipients below.",
                 "If one was handed to a system that sends no reports,",
                 "this is the last that you hear of it."},
                {"A message was delivered. Its sender was told."}};
    case NoticeKind::verify:
        return {"Mail Delivery Status Report",
                "Postmaster Copy: Mail Delivery Status Report",
                "Message",
                {"Here is the delivery report that you asked for."},
                {"A delivery report was asked for. Its reader was told."}};
    }
    return {"Undelivered Mail Returned to Sender",
            "Postmaster Copy: Undelivered Mail",
            "Undelivered Message",
            {"Your message could not be delivered to the recipients below.",
             "The reason stands behind each address, and what you sent is",
             "attached. No further attempt will be made."},
            {"A message could not be delivered and was returned to its sender."}};
}

std::string from_value(const DeliveryNotice& notice)
{
    if (notice.text && !notice.text->from.empty())
        return notice.text->from;
    const std::string address = "MAILER-DAEMON@" + notice.myhostname;
    return notice.obsolete_from ? address + " (Mail Delivery System)"
                                : "Mail Delivery System <" + address + ">";
}

void put_message_header(Lines& out, const DeliveryNotice& notice, const std::string& boundary)
{
    out.push_back("From: " + from_value(notice));
    out.push_back("Subject: " + std::string(notice_subject(notice)));
    out.push_back("To: " + shown_address(notice.to, true));
    if (!notice.message_id.empty()) {
        out.push_back("References: " + notice.message_id);
        out.push_back("In-Reply-To: " + notice.message_id);
    }
    out.emplace_back("Auto-Submitted: auto-replied");
    out.emplace_back("MIME-Version: 1.0");
    out.push_back(notice.smtputf8 ? "Content-Type: multipart/report; report-type=global-delivery-status;"
                                  : "Content-Type: multipart/report; report-type=delivery-status;");
    out.push_back("\tboundary=\"" + boundary + '"');
    if (is_8bit_notice(notice))
        out.emplace_back("Content-Transfer-Encoding: 8bit");
    out.emplace_back();
    out.emplace_back("This is a MIME-encapsulated message.");
    out.emplace_back();
}

bool has_8bit_text(const DeliveryNotice& notice)
{
    return notice.smtputf8 || (notice.text && std::ranges::any_of(notice.text->lines, has_8bit));
}

void put_own_words(Lines& out, const DeliveryNotice& notice)
{
    out.push_back("This is the mail system at host " + notice.myhostname + ".");
    out.emplace_back();
    const Words words = words_for(notice.kind);
    const auto& text = notice.for_postmaster ? words.postmaster_explanation : words.explanation;
    out.insert(out.end(), text.begin(), text.end());
    if (notice.for_postmaster && notice.double_bounce)
        out.emplace_back("It was itself a notice about undelivered mail: nobody else hears of it.");
    if (!notice.for_postmaster) {
        out.emplace_back();
        out.emplace_back("For help, please write to <postmaster> and include this report.");
    }
    out.emplace_back();
    out.push_back(std::string(35, ' ') + "The mail system");
}

void put_explanation(Lines& out, const DeliveryNotice& notice)
{
    const bool wide = has_8bit_text(notice);
    const std::string_view charset = notice.text       ? std::string_view(notice.text->charset)
                                     : notice.smtputf8 ? "utf-8"
                                                       : "us-ascii";
    out.emplace_back("Content-Description: Notification");
    out.push_back("Content-Type: text/plain; charset=" + printable(charset));
    if (wide)
        out.emplace_back("Content-Transfer-Encoding: 8bit");
    out.emplace_back();
    if (notice.text)
        out.insert(out.end(), notice.text->lines.begin(), notice.text->lines.end());
    else
        put_own_words(out, notice);
    out.emplace_back();
    for (const NoticeRecipient& recipient : notice.recipients) {
        const std::string address = shown_address(recipient.final_recipient, notice.smtputf8);
        put_folded(out, '<' + address + ">:", recipient.reason, notice.smtputf8);
        out.emplace_back();
    }
}

// RFC 6533, 3: the address type utf-8 is for addresses that need it.
std::string_view address_type(const DeliveryNotice& notice, std::string_view address)
{
    return notice.smtputf8 && has_8bit(address) ? "utf-8" : "rfc822";
}

void put_recipient_status(Lines& out, const DeliveryNotice& notice, const NoticeRecipient& recipient)
{
    out.emplace_back();
    out.push_back("Final-Recipient: " + std::string(address_type(notice, recipient.final_recipient)) + "; " +
                  shown_address(recipient.final_recipient, notice.smtputf8));
    if (!recipient.original_recipient.empty()) {
        const std::string_view stored = recipient.original_recipient;
        const auto semicolon = stored.find(';');
        const bool typed = semicolon != std::string_view::npos;
        const auto type = typed ? stored.substr(0, semicolon) : std::string_view("rfc822");
        const auto address = typed ? stored.substr(semicolon + 1) : stored;
        const std::string text =
            equals_ignoring_case(type, "rfc822") ? external_form(address) : std::string(address);
        out.push_back("Original-Recipient: " + printable(type.substr(0, 30)) + ';' +
                      printable(text.substr(0, word_limit), notice.smtputf8));
    }
    const auto shown = [](const std::string& text) {
        return printable(std::string_view(text).substr(0, word_limit));
    };
    out.push_back("Action: " + shown(recipient.action));
    out.push_back("Status: " + shown(recipient.status));
    if (!recipient.remote_name.empty())
        put_folded(out, "Remote-MTA: " + shown(recipient.remote_type) + ';', recipient.remote_name);
    const bool remote = !recipient.diagnostic_type.empty() && !recipient.diagnostic_text.empty();
    const std::string& text = remote ? recipient.diagnostic_text : recipient.reason;
    if (!text.empty())
        put_folded(
            out,
            "Diagnostic-Code: " + (remote ? shown(recipient.diagnostic_type) : "X-" + notice.mail_name) + ';',
            text, notice.smtputf8);
    if (recipient.retry_until != 0)
        out.push_back("Will-Retry-Until: " + rfc5322_date(recipient.retry_until));
}

void put_delivery_status(Lines& out, const DeliveryNotice& notice)
{
    out.emplace_back("Content-Description: Delivery report");
    out.emplace_back(notice.smtputf8 ? "Content-Type: message/global-delivery-status"
                                     : "Content-Type: message/delivery-status");
    if (notice.smtputf8)
        out.emplace_back("Content-Transfer-Encoding: 8bit");
    out.emplace_back();
    out.push_back("Reporting-MTA: dns; " + notice.myhostname);
    if (!notice.envelope_id.empty())
        put_folded(out, "Original-Envelope-Id:", notice.envelope_id);
    out.push_back("X-" + notice.mail_name + "-Queue-ID: " + notice.queue_id);
    if (!notice.sender.empty())
        out.push_back("X-" + notice.mail_name +
                      "-Sender: " + std::string(address_type(notice, notice.sender)) + "; " +
                      shown_address(notice.sender, notice.smtputf8));
    if (notice.arrival_time != 0)
        out.push_back("Arrival-Date: " + rfc5322_date(notice.arrival_time));
    for (const NoticeRecipient& recipient : notice.recipients)
        put_recipient_status(out, notice, recipient);
    out.emplace_back();
}

void put_original(Lines& out, const DeliveryNotice& notice, const OriginalLines& original)
{
    const bool headers_only =
        notice.headers_only || (notice.size_limit != 0 && notice.original_size > notice.size_limit);
    std::string description = "Content-Description: " + std::string(words_for(notice.kind).part);
    out.push_back(description + (headers_only ? " Headers" : ""));
    out.emplace_back(notice.smtputf8 ? (headers_only ? "Content-Type: message/global-headers"
                                                     : "Content-Type: message/global")
                     : headers_only  ? "Content-Type: text/rfc822-headers"
                                     : "Content-Type: message/rfc822");
    if (notice.original_is_8bit || notice.smtputf8)
        out.emplace_back("Content-Transfer-Encoding: 8bit");
    out.emplace_back();

    // The envelope's sender, which the message itself does not tell.
    out.push_back("Return-Path: <" +
                  shown_address(notice.sender, notice.original_is_8bit || notice.smtputf8) + '>');

    // The size was told by others: the limit holds for what really comes, too.
    const std::uint64_t limit = notice.size_limit != 0 ? notice.size_limit : headers_limit;
    std::uint64_t bytes = 0;
    for (std::string line; original(line); bytes += line.size() + 2) {
        const bool header = !line.empty() && (is_blank(line.front()) || !header_field_name(line).empty());
        if (headers_only && (!header || bytes > limit))
            break;
        out.push_back(line);
    }
    out.emplace_back();
}

} // namespace

NoticeTemplate notice_template(NoticeKind kind)
{
    DeliveryNotice notice;
    notice.kind = kind;
    notice.myhostname = "$myhostname";
    Lines lines;
    put_own_words(lines, notice);
    const Words words = words_for(kind);
    return {words.subject, words.postmaster_subject, std::move(lines)};
}

bool is_8bit_notice(const DeliveryNotice& notice)
{
    return notice.original_is_8bit || has_8bit_text(notice);
}

std::string_view notice_subject(const DeliveryNotice& notice)
{
    if (notice.text) {
        const NoticeText& text = *notice.text;
        return notice.for_postmaster && !text.postmaster_subject.empty() ? text.postmaster_subject
                                                                         : text.subject;
    }
    const Words words = words_for(notice.kind);
    return notice.for_postmaster ? words.postmaster_subject : words.subject;
}

std::vector<std::string> compose_notice(const DeliveryNotice& notice, const OriginalLines& original)
{
    Lines out;
    const std::string boundary = boundary_of(notice);
    put_message_header(out, notice, boundary);
    out.push_back("--" + boundary);
    put_explanation(out, notice);
    out.push_back("--" + boundary);
    put_delivery_status(out, notice);
    if (original) {
        out.push_back("--" + boundary);
        put_original(out, notice, original);
    }
    out.push_back("--" + boundary + "--");
    return out;
}

} // namespace bulkhead
