// How much of the parameter table works: counts of known names by area and tier,
// and what they do here.  For postconf --coverage and the figures in README.
#pragma once

#include "config/known_parameters.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct CoverageRow {
    std::string_view area;          // empty in totals
    std::uint8_t tier = 0;          // not meant in the grand total
    std::array<int, 3> counts = {}; // by ParameterStatus

    int count(ParameterStatus status) const { return counts[static_cast<std::size_t>(status)]; }
    int total() const { return counts[0] + counts[1] + counts[2]; }
};

struct Coverage {
    std::vector<CoverageRow> rows;  // by area, then tier; none is empty
    std::vector<CoverageRow> tiers; // totals of each tier, ascending
    CoverageRow total;
};

// Counts names of one origin, or all of the table.
Coverage parameter_coverage();
Coverage parameter_coverage(ParameterOrigin origin);

// As lines of a table for people, columns aligned, totals last; each ends in '\n'.
std::string coverage_text(const Coverage& coverage);

} // namespace bulkhead
