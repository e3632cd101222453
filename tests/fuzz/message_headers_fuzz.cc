// Header lines in parts as the fuzzer cuts them, and a delivery notice about a
// message made of the same bytes.
#include "mail/delivery_notice.h"
#include "mail/header.h"

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

static void check_reader(std::string_view text, std::size_t limit)
{
    HeaderReader reader(limit);
    const auto check = [&] {
        while (const auto field = reader.take()) {
            require(!field->name.empty() && field->raw.size() <= limit);
            (void)field->body();
            require(unfold(field->raw).find('\n') == std::string::npos);
        }
    };
    while (!text.empty()) {
        const auto end = std::min(text.find_first_of("\n\v"), text.size());
        const bool complete = end == text.size() || text[end] == '\n';
        const auto verdict = reader.add(text.substr(0, end), complete);
        check();
        if (verdict != HeaderReader::Line::header)
            return;
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    reader.finish();
    check();
}

static void check_notice(std::string_view text)
{
    DeliveryNotice notice;
    notice.mail_name = "Test";
    notice.myhostname = "mx.test";
    notice.to = text;
    notice.queue_id = "12345ABCDEF";
    notice.sender = text;
    notice.envelope_id = text;
    NoticeRecipient recipient;
    recipient.final_recipient = text;
    recipient.original_recipient = text;
    recipient.action = text;
    recipient.status = text;
    recipient.diagnostic_type = "smtp";
    recipient.diagnostic_text = text;
    recipient.remote_type = "dns";
    recipient.remote_name = text;
    recipient.reason = text;
    notice.recipients.push_back(recipient);
    for (const std::string& line : compose_notice(notice, {}))
        require(line.size() <= 998 && line.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    check_reader(text, default_header_size_limit);
    check_reader(text, 20);
    check_notice(text);
    return 0;
}
