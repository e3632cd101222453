#include "service_line.h"

#include "base/text.h"
#include "config/logical_lines.h"
#include "config/main_cf.h"
#include "config/master_cf.h"
#include "config/values.h"
#include "printing.h"

#include <fmt/format.h>

#include <algorithm>

namespace bulkhead::postconf
{

namespace
{

Error refusal(std::string text)
{
    return {Fault::config, std::move(text)};
}

struct Word {
    std::string text;
    bool braced = false;
};

// How far the first word reaches: to a blank that no { } protects.  Where a brace inside of a
// word never closes, it protects nothing.
std::size_t word_size(std::string_view text)
{
    const auto blank = std::min(text.find_first_of(" \t\r"), text.size());
    int depth = 0;
    std::size_t end = 0;
    for (; end < text.size() && (depth > 0 || (!is_blank(text[end]) && text[end] != '\r')); ++end)
        depth += text[end] == '{' ? 1 : text[end] == '}' ? -1 : 0;
    return depth > 0 && text.front() != '{' ? blank : end;
}

// Words between blanks; { } protects blanks.  A brace that never closes reaches to the end.
std::vector<Word> words_of(std::string_view text, std::vector<std::string>& warnings)
{
    std::vector<Word> words;
    while (true) {
        text.remove_prefix(std::min(text.find_first_not_of(" \t\r"), text.size()));
        if (text.empty() || words.size() >= MasterCf::argument_limit)
            return words;
        const std::size_t end = word_size(text);
        std::string_view word = text.substr(0, end);
        text.remove_prefix(end);
        if (!word.starts_with('{')) {
            words.push_back({std::string(word), false});
            continue;
        }
        std::size_t close = 0;
        for (int open = 0; close < word.size(); ++close)
            if ((open += word[close] == '{' ? 1 : word[close] == '}' ? -1 : 0) == 0)
                break;
        if (close == word.size())
            warnings.push_back(fmt::format("master.cf: missing '}}' in \"{}\"", printable(word, true)));
        else if (close + 1 < word.size())
            warnings.push_back(
                fmt::format("master.cf: syntax error after '}}' in \"{}\"", printable(word, true)));
        words.push_back({std::string(trim(word.substr(1, std::min(close, word.size()) - 1))), true});
    }
}

// A word that the parser would take apart again stands in braces.
std::string written(std::string_view word)
{
    const bool needs_braces = word.empty() || word.starts_with('{') || word.find_first_of(" \t") != word.npos;
    return needs_braces ? fmt::format("{{{}}}", word) : std::string(word);
}

// "{ name = value }" and "name=value" alike give "name=value".
std::string normal_assignment(const Word& word)
{
    if (word.braced)
        if (const auto parsed = parse_assignment(word.text))
            return parsed->first + "=" + parsed->second;
    return word.text;
}

std::vector<ServiceLine::Argument> arguments_of(const std::vector<Word>& words, std::size_t first,
                                                std::vector<std::string>& warnings)
{
    std::vector<ServiceLine::Argument> arguments;
    bool in_options = true;
    for (std::size_t i = first; i < words.size(); ++i) {
        const std::string& word = words[i].text;
        in_options = in_options && word.size() > 1 && word.front() == '-' && word != "--";
        ServiceLine::Argument argument{
            .word = word, .value = {}, .has_value = false, .is_option = in_options};
        if (in_options && word.starts_with("-o")) {
            argument.word = "-o";
            argument.has_value = word.size() > 2 || i + 1 < words.size();
            if (word.size() > 2) {
                const auto value = words_of(std::string_view(word).substr(2), warnings);
                argument.value = value.empty() ? std::string() : normal_assignment(value.front());
            } else if (argument.has_value) {
                argument.value = normal_assignment(words[++i]);
            }
        }
        arguments.push_back(std::move(argument));
    }
    return arguments;
}

bool is_number(std::string_view text)
{
    return text == "-" || parse_unsigned(text).has_value();
}

Result<> check_field(std::size_t field, std::string_view value, std::string_view context)
{
    bool good = !value.empty();
    if (field == 1) {
        good = parse_service_type(value).has_value();
    } else if (field >= 2 && field <= 4) {
        good = value == "-" || value == "y" || value == "n";
    } else if (field == 5) {
        if (value.ends_with('?'))
            value.remove_suffix(1);
        good = is_number(value);
    } else if (field == 6) {
        good = is_number(value);
    }
    if (good)
        return {};
    return refusal(fmt::format("invalid {} field \"{}\" in \"{}\"", field_names[field], printable(value),
                               printable(context)));
}

std::string assignment_name(std::string_view assignment)
{
    return std::string(trim(assignment.substr(0, assignment.find('='))));
}

// The columns begin at fixed places; a long word pushes the next one.
std::string columns(const std::array<std::string, 8>& fields)
{
    static constexpr std::array<std::size_t, 8> starts{0, 11, 17, 25, 33, 41, 49, 57};
    std::string line;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        if (i > 0)
            line.append(line.size() < starts[i] ? starts[i] - line.size() : 1, ' ');
        line.append(fields[i]);
    }
    return line;
}

} // namespace

Result<ServiceLine> ServiceLine::parse(std::string_view text)
{
    ServiceLine service;
    const std::vector<Word> words = words_of(text, service.warnings);
    if (words.size() < service.fields.size())
        return refusal("bad field count");
    for (std::size_t i = 0; i < service.fields.size(); ++i) {
        service.fields[i] = words[i].text;
        TRY_VOID(check_field(i, words[i].text, text));
    }
    service.arguments = arguments_of(words, service.fields.size(), service.warnings);
    return service;
}

// Options with values stand on lines of their own; so does the first other argument behind options.
static void append_arguments(std::string& out, const std::vector<ServiceLine::Argument>& arguments, bool fold)
{
    std::size_t column = out.size();
    const std::size_t prefix = column;
    bool in_options = true;
    bool wrap = false; // what comes next begins a line
    for (const ServiceLine::Argument& argument : arguments) {
        const std::string item = argument.has_value   ? argument.word + " " + written(argument.value)
                                 : argument.is_option ? argument.word
                                                      : written(argument.word);
        if (argument.has_value || (in_options && !argument.is_option && column > prefix))
            wrap = true;
        in_options = in_options && argument.is_option;
        if (fold && (wrap || column + 1 + item.size() > line_limit)) {
            out.append("\n").append(indent);
            column = indent.size();
        } else {
            out.push_back(' ');
            ++column;
        }
        out.append(item);
        column += item.size();
        wrap = argument.has_value;
    }
}

std::string ServiceLine::text(bool fold) const
{
    std::string out = columns(fields);
    append_arguments(out, arguments, fold);
    return out;
}

std::string ServiceLine::command(bool fold, std::string_view prefix) const
{
    std::string out = fmt::format("{}{}", prefix, fields[7]);
    append_arguments(out, arguments, fold);
    return out;
}

std::map<std::string, std::string> ServiceLine::parameters() const
{
    std::map<std::string, std::string> found;
    for (const Argument& argument : arguments)
        if (const auto equals = argument.value.find('='); argument.has_value && equals != std::string::npos)
            found.insert_or_assign(assignment_name(argument.value),
                                   std::string(trim(argument.value.substr(equals + 1))));
    return found;
}

Result<> ServiceLine::set_field(std::string_view name, std::string_view value)
{
    const auto it = std::ranges::find(field_names, name);
    if (it == field_names.end())
        return refusal(fmt::format("invalid service attribute name: \"{}\"", printable(name)));
    const auto field = static_cast<std::size_t>(it - field_names.begin());
    if (field + 1 < field_names.size()) {
        if (value.find_first_of(" \t") != value.npos)
            return refusal(fmt::format("whitespace in service field \"{}\": \"{}\"", name, printable(value)));
        TRY_VOID(check_field(field, value, value));
        fields[field] = value;
        return {};
    }
    const std::vector<Word> words = words_of(value, warnings);
    if (words.empty())
        return refusal("empty service field \"command\"");
    fields[field] = words.front().text;
    arguments = arguments_of(words, 1, warnings);
    return {};
}

void ServiceLine::set_parameter(std::string_view name, std::string_view value)
{
    const std::string assignment = fmt::format("{}={}", name, value);
    bool done = false;
    for (Argument& argument : arguments) {
        if (argument.has_value && assignment_name(argument.value) == name) {
            argument.value = assignment;
            done = true;
        }
    }
    if (done)
        return;
    const auto end =
        std::ranges::find_if(arguments, [](const Argument& argument) { return !argument.is_option; });
    arguments.insert(end, Argument{.word = "-o", .value = assignment, .has_value = true, .is_option = true});
}

void ServiceLine::remove_parameter(std::string_view name)
{
    std::erase_if(arguments, [name](const Argument& argument) {
        return argument.has_value && assignment_name(argument.value) == name;
    });
}

Result<std::vector<ServiceLine>> parse_services(std::string_view text, std::string_view file,
                                                std::vector<std::string>& warnings)
{
    std::vector<ServiceLine> services;
    LogicalLines lines(text);
    while (lines.next()) {
        if (is_blank(lines.text().front())) {
            warnings.push_back(fmt::format("{}: logical line must not start with whitespace: \"{:.30}\"",
                                           file, printable(lines.text(), true)));
            continue;
        }
        auto service = ServiceLine::parse(lines.text());
        if (!service)
            return refusal(
                fmt::format("file {}: line {}: {}", file, lines.number(), service.error().context));
        warnings.insert(warnings.end(), service->warnings.begin(), service->warnings.end());
        services.push_back(*std::move(service));
        if (services.size() > MasterCf::count_limit)
            return Error{Fault::limit, fmt::format("{}: more than {} services", file, MasterCf::count_limit)};
    }
    return services;
}

bool ServicePattern::parse(std::string_view text, std::size_t least, std::size_t most)
{
    parts_.clear();
    while (true) {
        const auto slash = std::min(text.find('/'), text.size());
        parts_.emplace_back(text.substr(0, slash));
        if (parts_.back().empty() || parts_.size() > most)
            return false;
        if (slash == text.size())
            return parts_.size() >= least;
        text.remove_prefix(slash + 1);
    }
}

} // namespace bulkhead::postconf
