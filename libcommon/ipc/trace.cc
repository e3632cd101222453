#include "ipc/trace.h"

#include "base/text.h"

#include <fmt/format.h>

namespace bulkhead::ipc
{

namespace
{

constexpr std::size_t longest_value = 120;
constexpr std::size_t longest_line = 1000;

std::string_view name_of(Kind kind)
{
    switch (kind) {
    case Kind::ok:
        return "ok";
    case Kind::failed:
        return "failed";
    case Kind::rewrite:
        return "rewrite";
    case Kind::resolve:
        return "resolve";
    case Kind::cleanup_open:
        return "new message";
    case Kind::cleanup_records:
        return "records";
    case Kind::cleanup_finish:
        return "end of message";
    case Kind::cleanup_milters:
        return "milters";
    case Kind::queue_arrival:
        return "arrival";
    case Kind::queue_flush:
        return "flush";
    case Kind::deliver:
        return "deliver";
    case Kind::bounce_append:
        return "append";
    case Kind::bounce_flush:
        return "send notice";
    case Kind::show_queue:
        return "show queue";
    case Kind::show_message:
        return "message";
    case Kind::verify_query:
        return "is deliverable?";
    case Kind::verify_update:
        return "probe result";
    case Kind::flush_add:
        return "waits for site";
    case Kind::flush_site:
        return "flush site";
    case Kind::client_event:
        return "client event";
    case Kind::session:
        return "session";
    case Kind::queue_logged:
        return "queue_logged";
    case Kind::recipient_owner:
        return "whose recipient?";
    }
    return "unknown";
}

} // namespace

std::string describe(const Message& message)
{
    std::string line(name_of(message.kind()));
    if (message.kind() == Kind::cleanup_records)
        return line + fmt::format(" ({} bytes)", message.body().size());
    Message::Walk attributes = message.walk();
    while (const auto attribute = attributes.next()) {
        if (line.size() > longest_line)
            return line + " ...";
        const std::string value = printable(attribute->value.substr(0, longest_value), true);
        const bool cut = attribute->value.size() > longest_value;
        const bool plain = !value.empty() && value.find(' ') == value.npos;
        line += fmt::format(" {}={}{}", printable(attribute->name), plain ? value : '"' + value + '"',
                            cut ? "..." : "");
    }
    return line;
}

void trace_message(char direction, std::string_view peer, const Message& message)
{
    log::trace(fmt::format("{} {}: {}", direction, peer, describe(message)));
}

} // namespace bulkhead::ipc
