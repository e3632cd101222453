#include "table/rules.h"

#include "base/text.h"
#include "config/logical_lines.h"
#include "config/values.h"
#include "log/log.h"
#include "os/files.h"

#include <fmt/format.h>

namespace bulkhead
{

std::string RuleLine::place() const
{
    return fmt::format("{}, line {}", file, line);
}

// The first word of text in lower case, without what a pattern could begin with.
static std::string keyword(std::string_view text)
{
    std::size_t end = 0;
    while (end < text.size() && is_alpha(text[end]))
        ++end;
    return lower(text.substr(0, end));
}

static constexpr std::size_t file_limit = 256 << 20;

Result<RuleSource> read_rules(std::string_view name)
{
    RuleSource source;
    const std::string path(name);
    if (!name.starts_with('{')) {
        TRY(source.watch, FileWatch::open(path));
        TRY(source.text, read_file(path, file_limit));
        return source;
    }
    for (const std::string& rule : parse_list(without_braces(name)))
        source.text.append(trim(without_braces(rule))).append("\n");
    return source;
}

std::vector<RuleLine> parse_rule_lines(std::string_view text, std::string_view file)
{
    std::vector<RuleLine> lines;
    std::vector<std::size_t> open_blocks;
    LogicalLines logical(text);
    while (logical.next()) {
        RuleLine rule;
        rule.file = file;
        rule.line = logical.number();
        std::string_view rest = trim(logical.text());
        const std::string word = keyword(rest);
        if (word == "endif") {
            if (open_blocks.empty()) {
                log::write(Severity::warning,
                           fmt::format("{}: ignoring endif without matching if", rule.place()));
                continue;
            }
            rule.kind = RuleLine::Kind::end_if;
            lines[open_blocks.back()].block_end = lines.size();
            open_blocks.pop_back();
            lines.push_back(std::move(rule));
            continue;
        }
        if (word == "if") {
            rule.kind = RuleLine::Kind::if_block;
            rest = trim(rest.substr(2));
            open_blocks.push_back(lines.size());
        }
        while (rest.starts_with('!')) {
            rule.negated = !rule.negated;
            rest = trim(rest.substr(1));
        }
        rule.condition = rest;
        lines.push_back(std::move(rule));
    }
    for (const std::size_t open : open_blocks) {
        log::write(Severity::warning, fmt::format("{}: if without matching endif", lines[open].place()));
        lines[open].block_end = lines.size();
    }
    return lines;
}

void run_rules(const std::vector<RuleLine>& lines, const std::function<bool(std::size_t index)>& test)
{
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (lines[i].kind == RuleLine::Kind::end_if)
            continue;
        const bool answer = test(i);
        if (lines[i].kind == RuleLine::Kind::rule && answer)
            return;
        if (lines[i].kind == RuleLine::Kind::if_block && !answer)
            i = lines[i].block_end;
    }
}

} // namespace bulkhead
