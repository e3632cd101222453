// regexp: (POSIX) and pcre: (PCRE2) tables: rules `/pattern/flags result`, tried in order
// against the whole key.
#define PCRE2_CODE_UNIT_WIDTH 8

#include "base/text.h"
#include "config/expand.h"
#include "log/log.h"
#include "os/files.h"
#include "table/file_watch.h"
#include "table/rules.h"
#include "table/types.h"

#include <fmt/format.h>
#include <pcre2.h>
#include <regex.h>

#include <algorithm>
#include <array>
#include <optional>

namespace bulkhead
{

namespace
{

// What matching one pattern gave.  groups[0] is the whole match.
struct Match {
    bool matched = false;
    std::vector<std::optional<std::string>> groups;
    std::string failure; // matching itself failed
};

class Pattern
{
public:
    virtual ~Pattern() = default;
    virtual Match match(std::string_view key) const = 0;
    virtual std::size_t group_count() const = 0;
};

// "/text/flags rest" taken apart.
struct PatternText {
    std::string text;
    std::string flags;
    std::string result;
};

Result<PatternText> split_pattern(std::string_view condition)
{
    if (condition.empty() || is_alpha(condition.front()) || is_digit(condition.front()) ||
        is_blank(condition.front()))
        return Error{Fault::config, "pattern must begin with a delimiter such as /"};
    const char delimiter = condition.front();
    PatternText parts;
    std::size_t i = 1;
    for (; i < condition.size() && condition[i] != delimiter; ++i) {
        if (condition[i] == '\\' && i + 1 < condition.size()) {
            // "\/" is the delimiter itself; other escapes belong to the pattern.
            if (condition[i + 1] != delimiter)
                parts.text.push_back('\\');
            ++i;
        }
        parts.text.push_back(condition[i]);
    }
    if (i >= condition.size())
        return Error{Fault::config, fmt::format("no closing delimiter \"{}\"", delimiter)};
    std::string_view rest = condition.substr(i + 1);
    const auto end = std::min(rest.find_first_of(" \t"), rest.size());
    parts.flags = rest.substr(0, end);
    parts.result = trim(rest.substr(end));
    return parts;
}

class PosixPattern final : public Pattern
{
public:
    static Result<std::unique_ptr<Pattern>> compile(const PatternText& parts)
    {
        int flags = REG_EXTENDED | REG_ICASE;
        for (const char c : parts.flags) {
            if (c != 'i' && c != 'm' && c != 'x')
                return Error{Fault::config, fmt::format("unknown regexp option \"{}\"", printable({&c, 1}))};
            flags ^= c == 'i' ? REG_ICASE : c == 'm' ? REG_NEWLINE : REG_EXTENDED;
        }
        auto pattern = std::make_unique<PosixPattern>();
        const int status = ::regcomp(&pattern->regex_, parts.text.c_str(), flags);
        if (status != 0) {
            char reason[256] = {};
            ::regerror(status, &pattern->regex_, reason, sizeof reason);
            return Error{Fault::config, reason};
        }
        pattern->compiled_ = true;
        return std::unique_ptr<Pattern>(std::move(pattern));
    }
    ~PosixPattern() override
    {
        if (compiled_)
            ::regfree(&regex_);
    }

    Match match(std::string_view key) const override
    {
        const std::string text(key);
        std::vector<regmatch_t> places(regex_.re_nsub + 1);
        Match match;
        const int status = ::regexec(&regex_, text.c_str(), places.size(), places.data(), 0);
        if (status != 0 && status != REG_NOMATCH)
            match.failure = "regexp matching failed";
        match.matched = status == 0;
        for (const regmatch_t& place : places) {
            if (!match.matched)
                break;
            if (place.rm_so < 0)
                match.groups.emplace_back();
            else
                match.groups.emplace_back(text.substr(static_cast<std::size_t>(place.rm_so),
                                                      static_cast<std::size_t>(place.rm_eo - place.rm_so)));
        }
        return match;
    }
    std::size_t group_count() const override { return regex_.re_nsub; }

private:
    regex_t regex_{};
    bool compiled_ = false;
};

class PerlPattern final : public Pattern
{
public:
    static Result<std::unique_ptr<Pattern>> compile(const PatternText& parts)
    {
        std::uint32_t options = PCRE2_CASELESS | PCRE2_DOTALL;
        for (const char c : parts.flags) {
            const auto it = std::ranges::find(flags_, c, &Flag::letter);
            if (it == flags_.end())
                return Error{Fault::config, fmt::format("unknown regexp option \"{}\"", printable({&c, 1}))};
            options ^= it->option;
        }
        int number = 0;
        PCRE2_SIZE offset = 0;
        auto pattern = std::make_unique<PerlPattern>();
        pattern->code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(parts.text.data()), parts.text.size(),
                                           options, &number, &offset, nullptr));
        if (!pattern->code_) {
            PCRE2_UCHAR reason[256] = {};
            pcre2_get_error_message(number, reason, sizeof reason);
            return Error{Fault::config, fmt::format("error in regex at offset {}: {}", offset,
                                                    reinterpret_cast<const char*>(reason))};
        }
        pattern->context_.reset(pcre2_match_context_create(nullptr));
        // A pattern that backtracks for ever must not hold the worker.
        constexpr std::uint32_t match_limit = 1000000;
        pcre2_set_match_limit(pattern->context_.get(), match_limit);
        return std::unique_ptr<Pattern>(std::move(pattern));
    }

    Match match(std::string_view key) const override
    {
        Match match;
        pcre2_match_data* const data = workspace(group_count() + 1);
        const int count = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(key.data()), key.size(), 0, 0,
                                      data, context_.get());
        if (count == PCRE2_ERROR_NOMATCH)
            return match;
        if (count < 0) {
            match.failure = fmt::format("pcre matching failed with error {}", count);
            return match;
        }
        match.matched = true;
        const PCRE2_SIZE* places = pcre2_get_ovector_pointer(data);
        for (int i = 0; i < count; ++i) {
            const auto begin = places[2 * i];
            const auto end = places[2 * i + 1];
            if (begin == PCRE2_UNSET || end < begin)
                match.groups.emplace_back();
            else
                match.groups.emplace_back(key.substr(begin, end - begin));
        }
        return match;
    }
    std::size_t group_count() const override
    {
        std::uint32_t count = 0;
        pcre2_pattern_info(code_.get(), PCRE2_INFO_CAPTURECOUNT, &count);
        return count;
    }

private:
    struct Flag {
        char letter;
        std::uint32_t option;
    };
    static constexpr std::array<Flag, 7> flags_{{{'i', PCRE2_CASELESS},
                                                 {'m', PCRE2_MULTILINE},
                                                 {'s', PCRE2_DOTALL},
                                                 {'x', PCRE2_EXTENDED},
                                                 {'A', PCRE2_ANCHORED},
                                                 {'E', PCRE2_DOLLAR_ENDONLY},
                                                 {'U', PCRE2_UNGREEDY}}};
    struct Free {
        void operator()(pcre2_code* p) const { pcre2_code_free(p); }
        void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
        void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
    };

    // Where PCRE2 puts its groups: one for each thread, as patterns are matched in several at once.
    static pcre2_match_data* workspace(std::size_t groups)
    {
        thread_local std::unique_ptr<pcre2_match_data, Free> data;
        if (!data || pcre2_get_ovector_count(data.get()) < groups)
            data.reset(pcre2_match_data_create(static_cast<std::uint32_t>(groups), nullptr));
        return data.get();
    }

    std::unique_ptr<pcre2_code, Free> code_;
    std::unique_ptr<pcre2_match_context, Free> context_;
};

using Compile = Result<std::unique_ptr<Pattern>> (*)(const PatternText&);

// The number that a $name in a result means; nullopt if it is not a group of the pattern.
std::optional<std::size_t> group_number(std::string_view name, std::size_t groups)
{
    const auto number = parse_unsigned(name);
    if (!number || *number == 0 || *number > groups)
        return std::nullopt;
    return static_cast<std::size_t>(*number);
}

class PatternTable final : public Table
{
public:
    static Result<std::unique_ptr<Table>> open(const std::string& path, Compile compile)
    {
        auto table = std::make_unique<PatternTable>();
        TRY(RuleSource source, read_rules(path));
        table->watch_ = std::move(source.watch);
        table->lines_ = parse_rule_lines(source.text, path);
        for (const RuleLine& line : table->lines_) {
            table->rules_.emplace_back();
            if (line.kind == RuleLine::Kind::end_if)
                continue;
            const auto added = table->rules_.back().set(line, compile);
            if (!added)
                log::write(Severity::warning,
                           fmt::format("{}: {}; skipping this rule", line.place(), added.error().context));
        }
        return std::unique_ptr<Table>(std::move(table));
    }

    Lookup find(std::string_view key) override
    {
        Lookup answer = Lookup::absent();
        run_rules(lines_, [&](std::size_t i) {
            const Rule& rule = rules_[i];
            if (!rule.pattern)
                return false;
            const Match match = rule.pattern->match(key);
            if (!match.failure.empty()) {
                answer = Lookup::broken(fmt::format("{}: {}", lines_[i].place(), match.failure));
                return true;
            }
            const bool holds = match.matched != lines_[i].negated;
            if (holds && lines_[i].kind == RuleLine::Kind::rule)
                answer = result_of(rule, match, lines_[i]);
            return holds;
        });
        return answer;
    }
    bool has_fixed_keys() const override { return false; }
    bool is_stale() const override { return watch_.changed(); }

private:
    struct Rule {
        std::unique_ptr<Pattern> pattern; // none: the line was bad
        std::string result;

        Result<> set(const RuleLine& line, Compile compile)
        {
            TRY(const PatternText parts, split_pattern(line.condition));
            TRY(std::unique_ptr<Pattern> compiled, compile(parts));
            if (line.kind == RuleLine::Kind::rule && parts.result.empty())
                return Error{Fault::config, "no result after the pattern"};
            for (const std::string& name : referenced_names(parts.result)) {
                if (line.negated)
                    return Error{Fault::config, "$number found in the result of a negative pattern"};
                if (!group_number(name, compiled->group_count()))
                    return Error{Fault::config,
                                 fmt::format("out of range replacement index \"{}\"", printable(name))};
            }
            TRY_VOID(expand_once(parts.result, [](std::string_view) { return std::string(); }));
            result = parts.result;
            pattern = std::move(compiled);
            return {};
        }
    };

    static Lookup result_of(const Rule& rule, const Match& match, const RuleLine& line)
    {
        if (rule.result.find('$') == std::string::npos)
            return Lookup::found(rule.result);
        auto text = expand_once(rule.result, [&](std::string_view name) -> std::optional<std::string> {
            const auto number = group_number(name, rule.pattern->group_count());
            return number && *number < match.groups.size() ? match.groups[*number] : std::nullopt;
        });
        if (!text)
            return Lookup::broken(fmt::format("{}: {}", line.place(), text.error().context));
        return Lookup::found(*std::move(text));
    }

    std::vector<RuleLine> lines_;
    std::vector<Rule> rules_; // one for each line
    FileWatch watch_;
};

} // namespace

Result<std::unique_ptr<Table>> open_regexp(std::string_view name, const TableOptions&)
{
    return PatternTable::open(std::string(name), PosixPattern::compile);
}

Result<std::unique_ptr<Table>> open_pcre(std::string_view name, const TableOptions&)
{
    return PatternTable::open(std::string(name), PerlPattern::compile);
}

} // namespace bulkhead
