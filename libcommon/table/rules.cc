#include "table/rules.h"

#include "base/text.h"
#include "config/logical_lines.h"
#include "config/values.h"
#include "log/log.h"
#include "os/files.h"

#include <fmt/format.h>

namespace bulkhead
{

Result<RuleSource> RuleSource::open(std::string_view type, std::string_view name)
{
    RuleSource source;
    source.type = type;
    source.name = name;
    if (!name.starts_with('{')) {
        TRY(source.watch, FileWatch::open(source.name));
        TRY(source.text, read_file(source.name, size_limit));
        return source;
    }
    if (!name.ends_with('}') || name.size() < 2)
        return Error{Fault::config,
                     fmt::format("bad {}:name syntax: missing '}}' in \"{}\"", type, printable(name))};
    for (const std::string& rule : parse_list(without_braces(name)))
        source.text.append(trim(without_braces(rule))).append("\n");
    return source;
}

std::string RuleSource::place(int line) const
{
    return fmt::format("{} map {}, line {}", type, name, line);
}

void RuleSource::warn(int line, std::string_view reason) const
{
    log::warn(fmt::format("{}: {}", place(line), reason));
}

// True for "if" and "endif" in any case when no letter or digit follows.
static bool begins_with_word(std::string_view text, std::string_view word)
{
    if (!starts_with_ignoring_case(text, word))
        return false;
    const char next = text.size() > word.size() ? text[word.size()] : ' ';
    return !is_alpha(next) && !is_digit(next);
}

namespace
{

class RuleParser
{
public:
    RuleParser(const RuleSource& source, const std::function<bool(const RuleLine&)>& accept)
        : source_(source), accept_(accept)
    {
    }

    void take(std::string_view text, int number)
    {
        RuleLine rule;
        rule.line = number;
        if (begins_with_word(text, "endif"))
            return end_block(std::move(rule), trim(text.substr(5)));
        if (begins_with_word(text, "if")) {
            rule.kind = RuleLine::Kind::if_block;
            text = trim(text.substr(2));
        }
        while (text.starts_with('!')) {
            rule.negated = !rule.negated;
            text = trim(text.substr(1));
        }
        rule.condition = text;
        if (!accept_(rule))
            return;
        rule.rule = accepted_++;
        if (rule.kind == RuleLine::Kind::if_block)
            open_blocks_.push_back(lines_.size());
        lines_.push_back(std::move(rule));
    }

    std::vector<RuleLine> finish() &&
    {
        for (const std::size_t open : open_blocks_) {
            source_.warn(lines_[open].line, "IF has no matching ENDIF");
            lines_[open].block_end = lines_.size();
        }
        return std::move(lines_);
    }

private:
    void end_block(RuleLine rule, std::string_view rest)
    {
        const bool is_cidr = source_.type == "cidr";
        if (is_cidr && !rest.empty())
            return source_.warn(rule.line, "garbage after ENDIF: skipping this rule");
        if (open_blocks_.empty())
            return source_.warn(rule.line, is_cidr ? "ENDIF without IF: skipping this rule"
                                                   : "ignoring ENDIF without matching IF");
        if (!rest.empty())
            source_.warn(rule.line, "ignoring extra text after ENDIF");
        rule.kind = RuleLine::Kind::end_if;
        lines_[open_blocks_.back()].block_end = lines_.size();
        open_blocks_.pop_back();
        lines_.push_back(std::move(rule));
    }

    const RuleSource& source_;
    const std::function<bool(const RuleLine&)>& accept_;
    std::vector<RuleLine> lines_;
    std::vector<std::size_t> open_blocks_;
    std::size_t accepted_ = 0;
};

} // namespace

std::vector<RuleLine> parse_rule_lines(const RuleSource& source,
                                       const std::function<bool(const RuleLine&)>& accept)
{
    RuleParser parser(source, accept);
    LogicalLines logical(source.text);
    while (logical.next()) {
        const std::string_view text = std::string_view(logical.text()).substr(0, logical.text().find('\0'));
        if (text.empty())
            continue;
        if (is_blank(text.front()))
            log::warn(fmt::format("{}: logical line must not start with whitespace: \"{}\"", source.name,
                                  printable(text, true)));
        else
            parser.take(trim(text), logical.number());
    }
    return std::move(parser).finish();
}

} // namespace bulkhead
