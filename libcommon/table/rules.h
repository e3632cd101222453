// The shape that regexp, pcre and cidr files share: a list of rules tried in order, with
// if/endif blocks.  What a condition is belongs to each type.
#pragma once

#include "base/result.h"
#include "table/file_watch.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// One logical line of a rule file.
struct RuleLine {
    enum class Kind { rule, if_block, end_if };
    Kind kind = Kind::rule;
    bool negated = false;  // !pattern
    std::string condition; // what follows "if" and "!": "/re/flags result" or "net result"
    std::string file;
    int line = 0;
    std::size_t block_end = 0; // of an if: index of its endif

    std::string place() const; // "file, line 3"
};

// Where rules come from: a file, which is watched, or the configuration itself, as in
// "{{rule}, {rule}}".
struct RuleSource {
    std::string text;
    FileWatch watch;
};
Result<RuleSource> read_rules(std::string_view name);

// Reads a file; unbalanced if and endif are logged and skipped with their line.
std::vector<RuleLine> parse_rule_lines(std::string_view text, std::string_view file);

// Calls test(index) for the rules in order until it says stop.  For an if, test tells whether
// its condition holds; for a rule, true stops.
void run_rules(const std::vector<RuleLine>& lines, const std::function<bool(std::size_t index)>& test);

} // namespace bulkhead
