#include "config/coverage.h"

#include <fmt/format.h>

#include <map>
#include <utility>

namespace bulkhead
{

template <typename Wanted> static Coverage count(Wanted wanted)
{
    std::map<std::pair<std::string_view, std::uint8_t>, CoverageRow> rows;
    std::map<std::uint8_t, CoverageRow> tiers;
    Coverage coverage;
    for (const KnownParameter& parameter : known_parameters()) {
        if (!wanted(parameter))
            continue;
        CoverageRow& row = rows[{parameter.area, parameter.tier}];
        row.area = parameter.area;
        row.tier = parameter.tier;
        tiers[parameter.tier].tier = parameter.tier;
        for (CoverageRow* counter : {&row, &tiers[parameter.tier], &coverage.total})
            ++counter->counts[static_cast<std::size_t>(parameter.status)];
    }
    for (const auto& [key, row] : rows)
        coverage.rows.push_back(row);
    for (const auto& [tier, row] : tiers)
        coverage.tiers.push_back(row);
    return coverage;
}

Coverage parameter_coverage()
{
    return count([](const KnownParameter&) { return true; });
}

Coverage parameter_coverage(ParameterOrigin origin)
{
    return count([origin](const KnownParameter& parameter) { return parameter.origin == origin; });
}

static std::string line(std::string_view area, std::string_view tier, const CoverageRow& row)
{
    return fmt::format("{:<22} {:<5} {:>9} {:>9} {:>9} {:>9}\n", area, tier,
                       row.count(ParameterStatus::in_effect), row.count(ParameterStatus::accepted),
                       row.count(ParameterStatus::not_yet), row.total());
}

std::string coverage_text(const Coverage& coverage)
{
    std::string text = fmt::format("{:<22} {:<5} {:>9} {:>9} {:>9} {:>9}\n", "area", "tier", "in effect",
                                   "accepted", "not yet", "total");
    for (const CoverageRow& row : coverage.rows)
        text += line(row.area, fmt::format("T{}", row.tier), row);
    for (const CoverageRow& row : coverage.tiers)
        text += line("all", fmt::format("T{}", row.tier), row);
    text += line("all", "all", coverage.total);
    return text;
}

} // namespace bulkhead
