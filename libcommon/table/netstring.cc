#include "table/netstring.h"

#include "base/text.h"

#include <fmt/format.h>

namespace bulkhead
{

void append_netstring(std::string& out, std::string_view text)
{
    out += fmt::format("{}:", text.size());
    out += text;
    out += ',';
}

Result<std::optional<Netstring>> parse_netstring(std::string_view bytes, std::size_t limit)
{
    constexpr std::size_t max_digits = 9;
    const std::size_t colon = bytes.substr(0, max_digits + 1).find(':');
    const std::string_view digits = bytes.substr(0, colon);
    if (digits.find_first_not_of("0123456789") != digits.npos || digits.size() > max_digits || colon == 0 ||
        (digits.size() > 1 && digits.front() == '0'))
        return Error{Fault::malformed, "a length was expected"};
    if (colon == bytes.npos)
        return std::optional<Netstring>();
    const auto size = static_cast<std::size_t>(*parse_unsigned(digits));
    if (size > limit)
        return Error{Fault::limit, fmt::format("{} bytes are too many, the limit is {}", size, limit)};
    const std::string_view rest = bytes.substr(colon + 1);
    if (rest.size() <= size)
        return std::optional<Netstring>();
    if (rest[size] != ',')
        return Error{Fault::malformed, "a comma was expected"};
    return std::optional(Netstring{rest.substr(0, size), colon + 1 + size + 1});
}

} // namespace bulkhead
