#include "config/rate.h"

#include "base/text.h"
#include "config/values.h"

#include <fmt/format.h>

namespace bulkhead
{

static constexpr std::int64_t microseconds = 1'000'000;

Result<Rate> Rate::parse(std::string_view text)
{
    const Error fault{Fault::config, fmt::format("bad delay or rate: \"{}\"", printable(text))};
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) {
        const auto delay = parse_seconds(trim(text), 's');
        if (!delay || *delay < 0 || *delay > 100 * 86400)
            return fault;
        return Rate(*delay * microseconds, false);
    }
    const auto count = parse_unsigned(trim(text.substr(0, slash)));
    const std::string_view unit = trim(text.substr(slash + 1));
    if (!count || *count == 0 || *count > microseconds || unit.size() != 1)
        return fault;
    const auto period = parse_seconds(fmt::format("1{}", unit), 's');
    if (!period)
        return fault;
    return Rate(*period * microseconds / static_cast<std::int64_t>(*count), true);
}

} // namespace bulkhead
