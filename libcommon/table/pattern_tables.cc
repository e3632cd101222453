// regexp: (POSIX) and pcre: (PCRE2) tables: rules `/pattern/flags result`, tried in order
// against the whole key.
#define PCRE2_CODE_UNIT_WIDTH 8

#include "base/text.h"
#include "log/log.h"
#include "table/file_value.h"
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

constexpr std::size_t key_limit = 1 << 20;
constexpr std::size_t result_limit = 1 << 20;

// What matching one pattern gave.  groups[0] is the whole match; they point into the key.
struct Match {
    bool matched = false;
    std::vector<std::string_view> groups;
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

// A rule that is skipped; the context is the whole reason.
Error skipped(std::string_view reason)
{
    return {Fault::config, fmt::format("{}: skipping this rule", reason)};
}

Result<PatternText> split_pattern(std::string_view condition, bool is_if, std::string_view type)
{
    if (condition.empty())
        return skipped("no regexp");
    if (is_alpha(condition.front()) || is_digit(condition.front()))
        return Error{Fault::config, "ignoring unrecognized request"};
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
        return Error{Fault::config, fmt::format("no closing regexp delimiter \"{}\": {} this rule",
                                                printable({&delimiter, 1}),
                                                type == "pcre" && !is_if ? "ignoring" : "skipping")};
    const std::string_view rest = condition.substr(i + 1);
    const auto end = std::min(rest.find_first_of(" \t"), rest.size());
    parts.flags = rest.substr(0, end);
    parts.result = trim(rest.substr(end));
    return parts;
}

Error unknown_flag(char c)
{
    return skipped(fmt::format("unknown regexp option \"{}\"", printable({&c, 1})));
}

class PosixPattern final : public Pattern
{
public:
    static Result<std::unique_ptr<Pattern>> compile(const PatternText& parts)
    {
        int flags = REG_EXTENDED | REG_ICASE;
        for (const char c : parts.flags) {
            if (c != 'i' && c != 'm' && c != 'x')
                return unknown_flag(c);
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
        // REG_STARTEND: the bounds of the key are the first place.
        std::vector<regmatch_t> places(regex_.re_nsub + 1);
        places[0] = {0, static_cast<regoff_t>(key.size())};
        Match match;
        const int status = ::regexec(&regex_, key.data() != nullptr ? key.data() : "", places.size(),
                                     places.data(), REG_STARTEND);
        if (status != 0 && status != REG_NOMATCH)
            match.failure = "regexp matching failed";
        match.matched = status == 0;
        for (std::size_t i = 0; match.matched && i < places.size(); ++i)
            match.groups.push_back(places[i].rm_so < 0 ? std::string_view{}
                                                       : key.substr(static_cast<std::size_t>(places[i].rm_so),
                                                                    static_cast<std::size_t>(
                                                                        places[i].rm_eo - places[i].rm_so)));
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
                return unknown_flag(c);
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
        // A pattern that backtracks for ever must not hold the worker, nor eat its memory.
        constexpr std::uint32_t match_limit = 1000000;
        constexpr std::uint32_t depth_limit = 100000;
        constexpr std::uint32_t heap_limit_in_kib = 20000;
        pcre2_set_match_limit(pattern->context_.get(), match_limit);
        pcre2_set_depth_limit(pattern->context_.get(), depth_limit);
        pcre2_set_heap_limit(pattern->context_.get(), heap_limit_in_kib);
        pcre2_pattern_info(pattern->code_.get(), PCRE2_INFO_CAPTURECOUNT, &pattern->groups_);
        return std::unique_ptr<Pattern>(std::move(pattern));
    }

    Match match(std::string_view key) const override
    {
        Match match;
        pcre2_match_data* const data = workspace(groups_ + 1);
        const int count = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(key.data()), key.size(), 0, 0,
                                      data, context_.get());
        if (count == PCRE2_ERROR_NOMATCH)
            return match;
        if (count < 0) {
            PCRE2_UCHAR reason[256] = {};
            pcre2_get_error_message(count, reason, sizeof reason);
            match.failure = reinterpret_cast<const char*>(reason);
            return match;
        }
        match.matched = true;
        const PCRE2_SIZE* places = pcre2_get_ovector_pointer(data);
        for (int i = 0; i < count; ++i) {
            const auto begin = places[2 * i];
            const auto end = places[2 * i + 1];
            match.groups.push_back(begin == PCRE2_UNSET || end < begin ? std::string_view{}
                                                                       : key.substr(begin, end - begin));
        }
        return match;
    }
    std::size_t group_count() const override { return groups_; }

private:
    struct Flag {
        char letter;
        std::uint32_t option;
    };
    static constexpr std::array<Flag, 8> flags_{{{'i', PCRE2_CASELESS},
                                                 {'m', PCRE2_MULTILINE},
                                                 {'s', PCRE2_DOTALL},
                                                 {'x', PCRE2_EXTENDED},
                                                 {'A', PCRE2_ANCHORED},
                                                 {'E', PCRE2_DOLLAR_ENDONLY},
                                                 {'U', PCRE2_UNGREEDY},
                                                 {'X', 0}}}; // obsolete
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
    std::uint32_t groups_ = 0;
};

using Compile = Result<std::unique_ptr<Pattern>> (*)(const PatternText&);

// The result of a rule: text with $1, ${1}, $(1) and $$.
class Replacement
{
public:
    static Result<Replacement> parse(std::string_view text, std::size_t groups, bool negated)
    {
        Replacement replacement;
        std::string literal;
        for (std::size_t i = 0; i < text.size();) {
            if (text[i] != '$') {
                literal.push_back(text[i++]);
                continue;
            }
            if (i + 1 < text.size() && text[i + 1] == '$') {
                literal.push_back('$');
                i += 2;
                continue;
            }
            TRY(const std::string_view name, take_name(text, i));
            TRY(const std::size_t group, group_number(name, groups, negated));
            replacement.parts_.push_back({std::move(literal), group});
            literal.clear();
        }
        replacement.tail_ = std::move(literal);
        return replacement;
    }

    Result<std::string> apply(const Match& match) const
    {
        std::string text;
        for (const Part& part : parts_) {
            text += part.before;
            if (part.group < match.groups.size())
                text += match.groups[part.group];
            if (text.size() > result_limit)
                return Error{Fault::limit, "the result is too long"};
        }
        return text + tail_;
    }

    bool is_constant() const { return parts_.empty(); }
    void set_constant(std::string text) { tail_ = std::move(text); }
    const std::string& constant() const { return tail_; }

private:
    struct Part {
        std::string before;
        std::size_t group;
    };

    // The name behind the $ at text[i]; i then is behind it.
    static Result<std::string_view> take_name(std::string_view text, std::size_t& i)
    {
        const auto bad = [](std::string_view reason) {
            log::warn(reason);
            return skipped("bad replacement syntax");
        };
        const char open = i + 1 < text.size() ? text[i + 1] : ' ';
        if (open == '{' || open == '(') {
            const auto end = text.find(open == '{' ? '}' : ')', i);
            if (end == text.npos)
                return bad(fmt::format("truncated macro reference: \"{}\"", printable(text, true)));
            const std::string_view name = text.substr(i + 2, end - i - 2);
            i = end + 1;
            return name;
        }
        std::size_t end = i + 1;
        while (end < text.size() && (is_alpha(text[end]) || is_digit(text[end]) || text[end] == '_'))
            ++end;
        if (end == i + 1)
            return bad(fmt::format("empty macro name: \"{}\"", printable(text, true)));
        const std::string_view name = text.substr(i + 1, end - i - 1);
        i = end;
        return name;
    }

    static Result<std::size_t> group_number(std::string_view name, std::size_t groups, bool negated)
    {
        const auto number = parse_unsigned(name);
        if (!number)
            return skipped(fmt::format("non-numeric replacement index \"{}\": bad replacement syntax",
                                       printable(name, true)));
        if (negated)
            return skipped("$number found in negative match replacement text");
        if (*number == 0 || *number > groups)
            return skipped(fmt::format("out of range replacement index \"{}\"", *number));
        return static_cast<std::size_t>(*number);
    }

    std::vector<Part> parts_;
    std::string tail_;
};

class PatternTable final : public Table
{
public:
    static Result<std::unique_ptr<Table>> open(std::string_view type, std::string_view name, Compile compile,
                                               const TableOptions& options)
    {
        auto table = std::make_unique<PatternTable>();
        TRY(table->source_, RuleSource::open(type, name));
        const auto accept = [&](const RuleLine& line) {
            auto rule = table->parse_rule(line, compile, options.values_are_files);
            if (!rule)
                table->source_.warn(line.line, rule.error().context);
            else
                table->rules_.push_back(*std::move(rule));
            return static_cast<bool>(rule);
        };
        table->lines_ = parse_rule_lines(table->source_, accept);
        table->source_.text = {};
        return std::unique_ptr<Table>(std::move(table));
    }

    Lookup find(std::string_view key) override
    {
        if (key.size() > key_limit)
            return Lookup::broken(fmt::format("{}: the key is too long", spec()));
        Lookup answer = Lookup::absent();
        run_rules(lines_, [&](const RuleLine& line) {
            const Rule& rule = rules_[line.rule];
            const Match match = rule.pattern->match(key);
            if (!match.failure.empty()) {
                // The rules that follow must not decide either; run_rules() only stops at a rule.
                answer = Lookup::broken(fmt::format("{}: {}", source_.place(line.line), match.failure));
                return line.kind == RuleLine::Kind::rule;
            }
            const bool holds = match.matched != line.negated;
            if (holds && line.kind == RuleLine::Kind::rule && !answer.is_broken())
                answer = result_of(rule, match, line);
            return holds;
        });
        return answer;
    }
    bool has_fixed_keys() const override { return false; }
    bool is_stale() const override { return source_.watch.changed(); }

private:
    struct Rule {
        std::unique_ptr<Pattern> pattern;
        Replacement result;
    };

    Result<Rule> parse_rule(const RuleLine& line, Compile compile, bool value_is_file) const
    {
        const bool is_if = line.kind == RuleLine::Kind::if_block;
        TRY(const PatternText parts, split_pattern(line.condition, is_if, source_.type));
        Rule rule;
        TRY(rule.pattern, compile(parts));
        if (parts.flags.find('X') != std::string::npos)
            source_.warn(line.line, "ignoring obsolete regexp option \"X\"");
        if (is_if) {
            warn_of_text_after_if(line, parts.result);
            return rule;
        }
        if (parts.result.empty())
            source_.warn(line.line, "no replacement text: using empty string");
        if (value_is_file) {
            TRY(std::string contents, read_file_value(parts.result));
            rule.result.set_constant(std::move(contents));
            return rule;
        }
        TRY(rule.result, Replacement::parse(parts.result, rule.pattern->group_count(), line.negated));
        return rule;
    }

    void warn_of_text_after_if(const RuleLine& line, std::string_view text) const
    {
        if (text.empty())
            return;
        source_.warn(line.line,
                     fmt::format("ignoring extra text after IF statement: \"{}\"", printable(text, true)));
        source_.warn(line.line, "do not prepend whitespace to statements between IF and ENDIF");
    }

    Lookup result_of(const Rule& rule, const Match& match, const RuleLine& line) const
    {
        if (rule.result.is_constant())
            return Lookup::found(rule.result.constant());
        auto text = rule.result.apply(match);
        if (!text)
            return Lookup::broken(fmt::format("{}: {}", source_.place(line.line), text.error().context));
        return Lookup::found(*std::move(text));
    }

    RuleSource source_;
    std::vector<RuleLine> lines_;
    std::vector<Rule> rules_;
};

} // namespace

Result<std::unique_ptr<Table>> open_regexp(std::string_view name, const TableOptions& options)
{
    return PatternTable::open("regexp", name, PosixPattern::compile, options);
}

Result<std::unique_ptr<Table>> open_pcre(std::string_view name, const TableOptions& options)
{
    return PatternTable::open("pcre", name, PerlPattern::compile, options);
}

} // namespace bulkhead
