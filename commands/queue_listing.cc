#include "queue_listing.h"

#include "base/text.h"
#include "mail/address.h"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

namespace bulkhead
{

static constexpr std::size_t reason_column = 76; // where the closing bracket's text ends

// As asctime(3) has it, without the line end.
static std::string classic_time(std::int64_t seconds)
{
    const std::time_t time = seconds;
    std::tm local{};
    ::localtime_r(&time, &local);
    char text[64];
    const std::size_t size = std::strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y", &local);
    return std::string(text, size);
}

// "(reason)", its end at column 78.
static std::string reason_line(std::string_view reason)
{
    const std::string shown = printable(reason, true);
    const std::size_t blanks = reason_column - std::min(reason_column, shown.size());
    return fmt::format("{}({})\n", std::string(blanks, ' '), shown);
}

std::string shown_address(std::string_view internal, std::string_view null_address)
{
    return internal.empty() ? std::string(null_address) : printable(external_form(internal), true);
}

std::string MailqTable::heading() const
{
    if (long_ids_)
        return fmt::format("{:<17} {:>8} {:<19} {}\n", "----Queue ID-----", "--Size--", "---Arrival Time----",
                           "--Sender/Recipient------");
    return fmt::format("{:<11} {:>7} {:<20} {}\n", "-Queue ID-", "--Size--", "----Arrival Time----",
                       "-Sender/Recipient-------");
}

std::string MailqTable::add(const ipc::ShownMessage& message)
{
    std::string out = messages_ == 0 ? heading() : "\n";
    ++messages_;
    bytes_ += message.size;

    std::string id = printable(message.queue_id);
    if (message.queue_name == "active")
        id += '*';
    else if (message.queue_name == "hold")
        id += '!';
    if (message.forced_expire)
        id += '#';
    const std::string time = classic_time(message.arrival_time) + " ";
    const std::string sender = shown_address(message.sender, null_sender_);
    out += long_ids_ ? fmt::format("{:<17} {:>8} {:<19.19} {}\n", id, message.size, time, sender)
                     : fmt::format("{:<11} {:>7} {:<20.20} {}\n", id, message.size, time, sender);

    const std::string margin(long_ids_ ? 47 : 41, ' ');
    std::string_view last_reason;
    for (const ipc::ShownRecipient& recipient : message.recipients) {
        if (recipient.reason != last_reason)
            out += reason_line(recipient.reason.empty() ? "reason unavailable" : recipient.reason);
        last_reason = recipient.reason;
        out += fmt::format("{}{}\n", margin, shown_address(recipient.address, null_sender_));
    }
    return out;
}

std::string MailqTable::end() const
{
    if (messages_ == 0)
        return "Mail queue is empty\n";
    return fmt::format("\n-- {} Kbytes in {} Request{}.\n", bytes_ / 1024, messages_,
                       messages_ == 1 ? "" : "s");
}

// What stands for a byte in a string of JSON; empty: itself.
static std::string json_escape(char c)
{
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
        return {'\\', c};
    if (c == '\n')
        return "\\n";
    if (c == '\t')
        return "\\t";
    if (c == '\r')
        return "\\r";
    return byte < 0x20 || byte == 0x7f ? fmt::format("\\u{:04X}", byte) : std::string();
}

std::string json_string(std::string_view text)
{
    std::string safe;
    if (!is_valid_utf8(text)) {
        safe = printable(text);
        text = safe;
    }
    std::string out = "\"";
    const auto is_special = [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte == 0x7f || c == '"' || c == '\\';
    };
    for (auto from = text.begin();;) {
        const auto special = std::find_if(from, text.end(), is_special);
        out.append(from, special);
        if (special == text.end())
            break;
        out += json_escape(*special);
        from = special + 1;
    }
    return out += '"';
}

std::string json_line(const ipc::ShownMessage& message, std::string_view null_sender)
{
    const auto address = [&](std::string_view internal) {
        return json_string(internal.empty() ? std::string(null_sender) : external_form(internal));
    };
    std::string out = fmt::format(
        R"({{"queue_name": {}, "queue_id": {}, "arrival_time": {}, "message_size": {}, "forced_expire": {}, "sender": {}, "recipients": [)",
        json_string(message.queue_name), json_string(message.queue_id), message.arrival_time, message.size,
        message.forced_expire, address(message.sender));
    std::string_view comma;
    for (const ipc::ShownRecipient& recipient : message.recipients) {
        out += fmt::format(R"({}{{"address": {})", comma, address(recipient.address));
        if (!recipient.reason.empty())
            out += fmt::format(R"(, "delay_reason": {})", json_string(recipient.reason));
        out += '}';
        comma = ", ";
    }
    return out += "]}\n";
}

} // namespace bulkhead
