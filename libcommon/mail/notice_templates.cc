#include "mail/notice_templates.h"

#include "base/text.h"
#include "config/expand.h"
#include "config/main_cf.h"
#include "mail/delivery_notice.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace bulkhead
{

namespace
{

Error bad(std::string_view file, int line, std::string_view reason)
{
    return {Fault::config, fmt::format("{}, line {}: {}", file, line, reason)};
}

// "delay_warning_time_hours": a parameter's time in another unit, rounded down.
std::optional<std::string> time_in_unit(const Config& config, std::string_view name)
{
    struct Unit {
        std::string_view suffix;
        std::int64_t seconds;
    };
    static constexpr std::array<Unit, 5> units{
        {{"_seconds", 1}, {"_minutes", 60}, {"_hours", 3600}, {"_days", 86400}, {"_weeks", 604800}}};
    static constexpr std::array<std::pair<std::string_view, char>, 3> times{
        {{"bounce_queue_lifetime", 'd'}, {"delay_warning_time", 'h'}, {"maximal_queue_lifetime", 'd'}}};
    for (const Unit& unit : units)
        for (const auto& [parameter, default_unit] : times)
            if (name.ends_with(unit.suffix) && name.substr(0, name.size() - unit.suffix.size()) == parameter)
                return std::to_string(config.get_seconds(parameter, default_unit).value_or(0) / unit.seconds);
    return std::nullopt;
}

// Headers up to the first line that is none; an empty line between them and the text goes.
void take_headers(BounceTemplate& to, std::vector<std::string>& lines)
{
    to.is_own = false;
    std::size_t used = 0;
    for (; used < lines.size(); ++used) {
        const auto colon = lines[used].find(':');
        if (colon == std::string::npos)
            break;
        const std::string name = lower(std::string_view(lines[used]).substr(0, colon));
        const std::string value(trim(std::string_view(lines[used]).substr(colon + 1)));
        if (name == "charset")
            to.charset = value;
        else if (name == "from")
            to.from = value;
        else if (name == "subject")
            to.subject = value;
        else if (name == "postmaster-subject")
            to.postmaster_subject = value;
        else
            break;
    }
    if (used < lines.size() && trim(lines[used]).empty())
        ++used;
    to.lines.assign(lines.begin() + static_cast<std::ptrdiff_t>(used), lines.end());
}

struct NumberedLines {
    std::string_view rest;
    int number = 0;

    std::optional<std::string_view> next()
    {
        if (rest.empty())
            return std::nullopt;
        const auto end = std::min(rest.find('\n'), rest.size());
        const std::string_view line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        ++number;
        return line.substr(0, line.find_last_not_of('\r') + 1);
    }
};

} // namespace

BounceTemplates own_templates()
{
    BounceTemplates templates;
    static constexpr std::array<std::pair<std::string_view, NoticeKind>, 4> kinds{{
        {"failure", NoticeKind::failure},
        {"delay", NoticeKind::delay},
        {"success", NoticeKind::success},
        {"verify", NoticeKind::verify},
    }};
    for (std::size_t i = 0; i < kinds.size(); ++i) {
        const auto& [name, kind] = kinds[i];
        const NoticeTemplate text = notice_template(kind);
        templates[i].name = name;
        templates[i].subject = text.subject;
        if (kind == NoticeKind::failure || kind == NoticeKind::delay)
            templates[i].postmaster_subject = text.postmaster_subject;
        templates[i].lines = text.lines;
    }
    return templates;
}

Result<BounceTemplates> read_templates(std::string_view text, std::string_view file)
{
    BounceTemplates templates = own_templates();
    NumberedLines input{text};
    while (const auto line = input.next()) {
        if (trim(*line).empty() || trim(*line).starts_with('#'))
            continue;
        const auto assignment = parse_assignment(*line);
        if (!assignment)
            return bad(file, input.number, assignment.error().context);
        if (!assignment->second.starts_with("<<"))
            return bad(file, input.number, "need \"<<end_marker\" behind the template's name");
        const std::string_view marker = trim(std::string_view(assignment->second).substr(2));
        const auto it = std::ranges::find_if(templates, [&](const BounceTemplate& each) {
            return each.name + "_template" == assignment->first;
        });
        if (it == templates.end())
            return bad(file, input.number,
                       fmt::format("unknown template name: {}", printable(assignment->first)));
        std::vector<std::string> lines;
        bool ended = false;
        while (const auto inner = input.next()) {
            ended = *inner == marker;
            if (ended)
                break;
            lines.emplace_back(*inner);
        }
        if (!ended)
            return bad(file, input.number,
                       fmt::format("the end marker \"{}\" is missing", printable(marker)));
        take_headers(*it, lines);
    }
    return templates;
}

// A line that the text does not have.
static std::string end_of(const BounceTemplate& text)
{
    std::string end = "EOF";
    while (std::ranges::find(text.lines, end) != text.lines.end())
        end += "_";
    return end;
}

std::string written_templates(const BounceTemplates& templates)
{
    std::string out;
    for (const BounceTemplate& each : templates) {
        const std::string end = end_of(each);
        out += fmt::format("{}{}_template = <<{}\nCharset: {}\nFrom: {}\nSubject: {}\n",
                           out.empty() ? "" : "\n", each.name, end, each.charset, each.from, each.subject);
        if (!each.postmaster_subject.empty())
            out += fmt::format("Postmaster-Subject: {}\n", each.postmaster_subject);
        out.push_back('\n');
        for (const std::string& line : each.lines)
            out += line + "\n";
        out += end + "\n";
    }
    return out;
}

Result<std::vector<std::string>> expanded_lines(const BounceTemplate& text, const Config& config,
                                                std::string_view file)
{
    std::vector<std::string> lines;
    for (const std::string& line : text.lines) {
        bool unknown = false;
        auto expanded = expand_once(line, [&](std::string_view name) -> std::optional<std::string> {
            if (auto time = time_in_unit(config, name))
                return time;
            unknown = unknown || !config.raw(name);
            return config.get(name);
        });
        if (!expanded || unknown)
            return Error{Fault::config, fmt::format("{}: {} in {} template: {}", file,
                                                    unknown ? "undefined $name" : "bad $name syntax",
                                                    text.name, printable(line, true))};
        lines.push_back(*std::move(expanded));
    }
    return lines;
}

Result<std::string> expanded_templates(const BounceTemplates& templates, const Config& config,
                                       std::string_view file)
{
    std::string out;
    for (const BounceTemplate& each : templates) {
        out += fmt::format("{}expanded_{}_text = <<EOF\n", out.empty() ? "" : "\n", each.name);
        TRY(const auto lines, expanded_lines(each, config, file));
        for (const std::string& line : lines)
            out += line + "\n";
        out += "EOF\n";
    }
    return out;
}

} // namespace bulkhead
