#include "access_subject.h"

#include "mail/logged_address.h"

#include <fmt/format.h>

namespace bulkhead
{

std::string access_line(std::string_view what, const AccessSubject& subject, std::string_view label,
                        std::string_view text)
{
    std::string line =
        fmt::format("{}: {}: {} from {}: {};", subject.queue_id.empty() ? "NOQUEUE" : subject.queue_id, what,
                    subject.stage, label, text);
    if (subject.sender)
        line += fmt::format(" from=<{}>", logged_form(*subject.sender));
    if (subject.recipient)
        line += fmt::format(" to=<{}>", logged_form(*subject.recipient));
    line += fmt::format(" proto={}", subject.protocol);
    if (!subject.helo.empty())
        line += fmt::format(" helo=<{}>", subject.helo);
    if (!subject.sasl_username.empty())
        line += fmt::format(" sasl_username=<{}>", subject.sasl_username);
    return line;
}

} // namespace bulkhead
