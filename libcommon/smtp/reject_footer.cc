#include "smtp/reject_footer.h"

#include "base/text.h"
#include "config/expand.h"

namespace bulkhead
{

Result<> append_footer(Reply& reply, std::string_view footer, const FooterValues& values)
{
    constexpr std::string_view line_break = "\\n";
    constexpr std::string_view continuation = "\\c";
    const bool continues = footer.starts_with(continuation) && !reply.lines.empty();
    if (footer.starts_with(continuation))
        footer.remove_prefix(continuation.size());
    bool first = true;
    while (first || !footer.empty()) {
        const std::string_view part = footer.substr(0, footer.find(line_break));
        footer.remove_prefix(part.size());
        if (footer.starts_with(line_break))
            footer.remove_prefix(line_break.size());
        const MacroSource source = [&](std::string_view name) -> std::optional<std::string> {
            const auto value = values(name);
            return value ? std::optional(printable(*value, true)) : std::nullopt;
        };
        TRY(std::string line, expand_once(part, source));
        if (first && continues)
            reply.lines.back() += line;
        else
            reply.lines.push_back(std::move(line));
        first = false;
    }
    return {};
}

} // namespace bulkhead
