#include "test_results.h"

#include "base/text.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace bulkhead
{

Tests TestResults::due(const Tests& enabled, std::int64_t now) const
{
    Tests due;
    for (std::size_t i = 0; i < test_count; ++i) {
        const auto test = static_cast<Test>(i);
        if (enabled.has(test) && until[i] <= now)
            due.add(test);
    }
    return due;
}

bool TestResults::is_forgotten(std::int64_t now, std::int64_t retention) const
{
    return *std::ranges::max_element(until) < now - retention;
}

std::optional<TestResults> parse_test_results(std::string_view text)
{
    TestResults results;
    for (std::size_t i = 0; i < test_count; ++i) {
        const auto end = std::min(text.find(';'), text.size());
        const bool is_last = i + 1 == test_count;
        if ((end == text.size()) != is_last)
            return std::nullopt;
        const auto number = parse_unsigned(text.substr(0, end));
        if (!number || *number > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
            return std::nullopt;
        results.until[i] = static_cast<std::int64_t>(*number);
        text.remove_prefix(is_last ? end : end + 1);
    }
    return results;
}

std::string entry_text(const TestResults& results)
{
    return fmt::format("{}", fmt::join(results.until, ";"));
}

} // namespace bulkhead
