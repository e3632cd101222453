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
    int line = 0;
    std::size_t rule = 0;      // its number among the accepted ones
    std::size_t block_end = 0; // of an if: index of its endif
};

// Where rules come from: a file, which is watched, or the configuration itself, as in
// "{{rule}, {rule}}".
struct RuleSource {
    static constexpr std::size_t size_limit = 256 << 20;

    std::string type; // "pcre", for messages
    std::string name; // file name, or the text in braces
    std::string text;
    FileWatch watch;

    static Result<RuleSource> open(std::string_view type, std::string_view name);
    std::string place(int line) const; // "pcre map /etc/x, line 3"
    void warn(int line, std::string_view reason) const;
};

// The rules that are good.  accept() is asked for each rule and if, in order, says whether it is one and
// logs why not; an endif that then has no if, and an if without endif, are logged here.
std::vector<RuleLine> parse_rule_lines(const RuleSource& source,
                                       const std::function<bool(const RuleLine&)>& accept);

// Calls test(line) for the rules in order until it says stop.  For an if, test tells whether
// its condition holds; for a rule, true stops.
template <typename Test> void run_rules(const std::vector<RuleLine>& lines, const Test& test)
{
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (lines[i].kind == RuleLine::Kind::end_if)
            continue;
        const bool answer = test(lines[i]);
        if (lines[i].kind == RuleLine::Kind::rule && answer)
            return;
        if (lines[i].kind == RuleLine::Kind::if_block && !answer)
            i = lines[i].block_end;
    }
}

} // namespace bulkhead
