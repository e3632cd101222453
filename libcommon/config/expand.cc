#include "config/expand.h"

#include "base/text.h"
#include "config/level.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace bulkhead
{

namespace
{

constexpr bool is_name_char(char c)
{
    return is_alpha(c) || is_digit(c) || c == '_';
}

std::string_view skip_blanks(std::string_view text)
{
    while (!text.empty() && (is_blank(text.front()) || text.front() == '\n'))
        text.remove_prefix(1);
    return text;
}

// Braces also allow the '-' of names that come from services.
std::string_view take_name(std::string_view& text, bool in_braces = false)
{
    const auto belongs = [in_braces](char c) { return is_name_char(c) || (in_braces && c == '-'); };
    const auto end = std::ranges::find_if_not(text, belongs) - text.begin();
    const std::string_view name = text.substr(0, static_cast<std::size_t>(end));
    text.remove_prefix(name.size());
    return name;
}

// What is between the bracket at the front of text and the one that closes it;
// both and the payload are removed from text.  nullopt when it never closes.
std::optional<std::string_view> take_brackets(std::string_view& text)
{
    const char open = text.front();
    const char close = open == '{' ? '}' : ')';
    std::size_t depth = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == open)
            ++depth;
        else if (text[i] == close && --depth == 0) {
            const std::string_view payload = text.substr(1, i - 1);
            text.remove_prefix(i + 1);
            return payload;
        }
    }
    return std::nullopt;
}

// The two branches of a conditional: what stands after the name or the comparison.
struct Branches {
    std::string_view when_true;
    std::string_view when_false;
};

// "?text", "?{a}", "?{a}:{b}", ":text", ":{b}".  Unbraced text runs to the end, as it is.
Result<Branches> parse_branches(std::string_view text)
{
    Branches branches;
    const Error unbalanced{Fault::malformed, fmt::format("unbalanced {{}} in \"{}\"", printable(text))};
    if (text.starts_with('?')) {
        text.remove_prefix(1);
        const std::string_view start = skip_blanks(text);
        if (!start.starts_with('{')) {
            branches.when_true = text;
            return branches;
        }
        text = start;
        const auto payload = take_brackets(text);
        if (!payload)
            return unbalanced;
        branches.when_true = *payload;
        text = skip_blanks(text);
        if (text.empty())
            return branches;
    }
    if (!text.starts_with(':'))
        return Error{Fault::malformed, fmt::format("\":\" expected at \"{}\"", printable(text))};
    text.remove_prefix(1);
    const std::string_view start = skip_blanks(text);
    if (!start.starts_with('{')) {
        branches.when_false = text;
        return branches;
    }
    text = start;
    const auto payload = take_brackets(text);
    if (!payload)
        return unbalanced;
    branches.when_false = *payload;
    if (!skip_blanks(text).empty())
        return Error{Fault::malformed, fmt::format("unexpected text \"{}\"", printable(text))};
    return branches;
}

struct Operator {
    std::string_view text;
    bool less, equal, greater; // outcomes for which the comparison holds
};

// Longer spellings first.
constexpr std::array<Operator, 6> operators{{
    {"==", false, true, false},
    {"!=", true, false, true},
    {"<=", true, true, false},
    {">=", false, true, true},
    {"<", true, false, false},
    {">", false, false, true},
}};

std::optional<long long> as_number(std::string_view text)
{
    long long value = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || fault != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

Result<bool> compare(std::string_view left, const Operator& op, bool by_level, std::string_view right)
{
    std::strong_ordering order = std::strong_ordering::equal;
    if (by_level) {
        const auto a = CompatibilityLevel::parse(left);
        const auto b = CompatibilityLevel::parse(right);
        if (!a || !b)
            return Error{Fault::malformed,
                         fmt::format("bad compatibility level \"{}\"", printable(a ? right : left))};
        order = *a <=> *b;
    } else if (const auto a = as_number(left), b = as_number(right); a && b) {
        order = *a <=> *b;
    } else {
        order = left <=> right;
    }
    return order < 0 ? op.less : order > 0 ? op.greater : op.equal;
}

class Expansion
{
public:
    Expansion(const MacroSource& source, ExpandLimits limits, bool recursive)
        : source_(source), limits_(limits), recursive_(recursive)
    {
    }

    Result<> text(std::string_view text, std::string& out);
    Result<std::string> value_of(std::string_view name);

private:
    Result<> bracketed(std::string_view body, std::string& out);
    Result<> comparison(std::string_view body, std::string& out);

    const MacroSource& source_;
    const ExpandLimits limits_;
    const bool recursive_;
    std::vector<std::string> open_names_; // being expanded now, outermost first
    int depth_ = 0;
    std::size_t lookups_ = 0;
};

Result<> Expansion::text(std::string_view text, std::string& out)
{
    if (++depth_ > limits_.depth)
        return Error{Fault::limit, fmt::format("more than {} levels of $name or {{}}", limits_.depth)};
    while (!text.empty()) {
        const auto plain = std::min(text.find('$'), text.size());
        out.append(text.substr(0, plain));
        text.remove_prefix(plain);
        if (out.size() > limits_.size)
            return Error{Fault::limit, fmt::format("expanded value is longer than {} bytes", limits_.size)};
        if (text.empty())
            break;
        const std::string_view whole = text;
        text.remove_prefix(1);
        if (text.starts_with('$')) {
            out.push_back('$');
            text.remove_prefix(1);
        } else if (text.starts_with('{') || text.starts_with('(')) {
            const auto body = take_brackets(text);
            if (!body)
                return Error{Fault::malformed,
                             fmt::format("unbalanced \"{}\"", printable(whole.substr(0, 100)))};
            TRY_VOID(bracketed(*body, out));
        } else {
            const std::string_view name = take_name(text);
            if (name.empty())
                return Error{Fault::malformed, fmt::format("parameter name expected after $ in \"{}\"",
                                                           printable(whole.substr(0, 100)))};
            TRY(const std::string value, value_of(name));
            out.append(value);
        }
    }
    --depth_;
    if (out.size() > limits_.size)
        return Error{Fault::limit, fmt::format("expanded value is longer than {} bytes", limits_.size)};
    return {};
}

// The inside of ${...} or $(...).
Result<> Expansion::bracketed(std::string_view body, std::string& out)
{
    std::string_view rest = skip_blanks(body);
    if (rest.starts_with('{'))
        return comparison(rest, out);
    const std::string_view name = take_name(rest, true);
    if (name.empty())
        return Error{Fault::malformed,
                     fmt::format("parameter name expected in \"${{{}}}\"", printable(body))};
    TRY(const std::string value, value_of(name));
    rest = skip_blanks(rest);
    if (rest.empty()) {
        out.append(value);
        return {};
    }
    if (rest.front() != '?' && rest.front() != ':')
        return Error{Fault::malformed,
                     fmt::format("\"?\" or \":\" expected in \"${{{}}}\"", printable(body))};
    TRY(const Branches branches, parse_branches(rest));
    return text(value.empty() ? branches.when_false : branches.when_true, out);
}

// "{x} op {y} ? {a} : {b}".
Result<> Expansion::comparison(std::string_view body, std::string& out)
{
    std::string_view rest = body;
    const auto left = take_brackets(rest);
    if (!left)
        return Error{Fault::malformed, fmt::format("unbalanced \"{}\"", printable(body))};
    rest = skip_blanks(rest);
    const auto op =
        std::ranges::find_if(operators, [&](const Operator& o) { return rest.starts_with(o.text); });
    if (op == operators.end())
        return Error{Fault::malformed,
                     fmt::format("comparison operator expected at \"{}\"", printable(rest))};
    rest.remove_prefix(op->text.size());
    constexpr std::string_view level = "level";
    const bool by_level = rest.starts_with(level);
    if (by_level)
        rest.remove_prefix(level.size());
    rest = skip_blanks(rest);
    const auto right = rest.starts_with('{') ? take_brackets(rest) : std::nullopt;
    if (!right)
        return Error{Fault::malformed, fmt::format("\"{{value}}\" expected at \"{}\"", printable(rest))};

    std::string left_value;
    std::string right_value;
    TRY_VOID(text(*left, left_value));
    TRY_VOID(text(*right, right_value));
    TRY(const bool holds, compare(trim(left_value), *op, by_level, trim(right_value)));
    TRY(const Branches branches, parse_branches(skip_blanks(rest)));
    return text(holds ? branches.when_true : branches.when_false, out);
}

Result<std::string> Expansion::value_of(std::string_view name)
{
    if (++lookups_ > limits_.lookups)
        return Error{Fault::limit, fmt::format("more than {} parameter names in one value", limits_.lookups)};
    if (std::ranges::find(open_names_, name) != open_names_.end()) {
        std::string loop;
        for (const std::string& open : open_names_)
            loop += fmt::format("${} -> ", open);
        return Error{Fault::malformed, fmt::format("parameter loop: {}${}", loop, name)};
    }
    const auto raw = source_(name);
    if (!raw)
        return std::string();
    if (!recursive_ || raw->find('$') == raw->npos)
        return *raw;
    open_names_.emplace_back(name);
    std::string value;
    TRY_VOID(text(*raw, value));
    open_names_.pop_back();
    return value;
}

void collect_names(std::string_view text, std::vector<std::string>& names, int depth)
{
    constexpr int deepest = 100;
    if (depth > deepest)
        return;
    while (!text.empty()) {
        text.remove_prefix(std::min(text.find('$'), text.size()));
        if (text.empty())
            return;
        text.remove_prefix(1);
        if (text.starts_with('$')) {
            text.remove_prefix(1);
            continue;
        }
        const bool bracketed = text.starts_with('{') || text.starts_with('(');
        if (!bracketed) {
            if (const auto name = take_name(text); !name.empty())
                names.emplace_back(name);
            continue;
        }
        const auto body = take_brackets(text);
        if (!body)
            return;
        std::string_view rest = skip_blanks(*body);
        if (const auto name = take_name(rest, true); !name.empty())
            names.emplace_back(name);
        collect_names(rest, names, depth + 1);
    }
}

Result<std::string> run(std::string_view text, const MacroSource& source, ExpandLimits limits, bool recursive)
{
    std::string out;
    Expansion expansion(source, limits, recursive);
    TRY_VOID(expansion.text(text, out));
    return out;
}

} // namespace

Result<std::string> expand(std::string_view text, const MacroSource& source, ExpandLimits limits)
{
    return run(text, source, limits, true);
}

Result<std::string> expand_name(std::string_view name, const MacroSource& source, ExpandLimits limits)
{
    return Expansion(source, limits, true).value_of(name);
}

Result<std::string> expand_once(std::string_view text, const MacroSource& source, ExpandLimits limits)
{
    return run(text, source, limits, false);
}

std::vector<std::string> referenced_names(std::string_view text)
{
    std::vector<std::string> names;
    collect_names(text, names, 0);
    return names;
}

} // namespace bulkhead
