#include "editing.h"

#include "base/text.h"
#include "config/file_edit.h"
#include "config/main_cf.h"
#include "config/master_cf.h"
#include "log/log.h"
#include "service_line.h"

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

Result<> check_requests(const Options& options)
{
    const bool edits = options.action == Action::edit;
    if (options.arguments.empty())
        return refusal(edits ? "-e requires name=value argument" : "missing service argument");
    for (const std::string& argument : options.arguments) {
        if (argument.find('\n') != argument.npos)
            return refusal("-e, -X, or -# accepts no multi-line input");
        const std::string_view text = trim(argument);
        if (text.starts_with('#'))
            return refusal("-e, -X, or -# accepts no comment input");
        if (!edits && text.empty())
            return refusal("-X or -# requires non-blank parameter names");
        if (!edits && text.find('=') != text.npos)
            return refusal(
                fmt::format("-X or -# requires names without a value: \"{}\"", printable(argument)));
        if (!edits)
            continue;
        if (text.starts_with('='))
            return refusal(fmt::format("missing attribute name: \"{}\"", printable(argument, true)));
        if (const auto parsed = parse_assignment(argument); !parsed)
            return refusal(fmt::format("{}", parsed.error().context));
    }
    return {};
}

FileEdit::Kind edit_kind(Action action)
{
    return action == Action::remove        ? FileEdit::Kind::remove
           : action == Action::comment_out ? FileEdit::Kind::comment_out
                                           : FileEdit::Kind::replace;
}

// ---- master.cf

Result<ServicePattern> parse_pattern(Job job, std::string_view text)
{
    ServicePattern pattern;
    const std::size_t parts = job == Job::services ? 2 : 3;
    if (pattern.parse(text, parts, parts))
        return pattern;
    return refusal(job == Job::services ? "-Me, -MX or -M# requires service_name/type"
                   : job == Job::fields ? "-Fe or -FX requires service_name/type/field_name"
                                        : "-Pe or -PX requires service_name/type/parameter");
}

// Of the first two words of a definition; nothing else of it is looked at.
bool matches_line(const ServicePattern& pattern, std::string_view definition)
{
    const auto words = split(definition, " \t");
    return words.size() >= 2 && pattern.matches(words[0], words[1]);
}

// -Me: the entry takes the place of the first service that it replaces; others go.
Result<std::string> with_service(std::string_view text, const ServicePattern& pattern, std::string_view value,
                                 std::string_view request)
{
    auto entry = ServiceLine::parse(value);
    if (!entry)
        return refusal(entry.error().context == "bad field count"
                           ? fmt::format("bad field count: \"{}\"", printable(request, true))
                           : entry.error().context);
    bool placed = false;
    std::string out = edit_text(text, [&](std::string_view line) -> std::optional<DefinitionChange> {
        if (!matches_line(pattern, line) && master_cf_key(line) != entry->identity())
            return std::nullopt;
        if (placed)
            return DefinitionChange{DefinitionChange::Kind::remove, {}};
        placed = true;
        return DefinitionChange{DefinitionChange::Kind::replace, entry->text(true)};
    });
    if (!placed)
        append_lines(out, entry->text(true));
    return out;
}

std::string without_service(std::string_view text, const ServicePattern& pattern, Action action)
{
    const auto kind =
        action == Action::remove ? DefinitionChange::Kind::remove : DefinitionChange::Kind::comment_out;
    return edit_text(text, [&](std::string_view line) -> std::optional<DefinitionChange> {
        if (!matches_line(pattern, line))
            return std::nullopt;
        return DefinitionChange{kind, {}};
    });
}

Result<> change_part(ServiceLine& service, const Options& options, std::string_view name,
                     std::string_view value)
{
    if (options.job == Job::fields)
        return service.set_field(name, value);
    if (options.action == Action::remove)
        service.remove_parameter(name);
    else
        service.set_parameter(name, value);
    return {};
}

// -F and -P: one part of each service that matches.
Result<std::string> with_part(std::string_view text, const Options& options, const ServicePattern& pattern,
                              std::string_view value, std::string_view request,
                              std::vector<std::string>& warnings)
{
    const std::string_view name = pattern.part(2);
    if (options.job == Job::service_parameters && name.find('*') != name.npos)
        return refusal("-Pe does not accept wild-card parameter name");
    if (options.job == Job::service_parameters && value.find_first_of(" \t") != value.npos)
        return refusal("-Pe does not accept whitespace in parameter value");
    std::optional<Error> failure;
    bool matched = false;
    std::string out = edit_text(text, [&](std::string_view line) -> std::optional<DefinitionChange> {
        if (failure || !matches_line(pattern, line))
            return std::nullopt;
        matched = true;
        auto service = ServiceLine::parse(line);
        const auto changed =
            service ? change_part(*service, options, name, value) : Result<>(service.error());
        if (!changed) {
            failure = changed.error();
            return std::nullopt;
        }
        return DefinitionChange{DefinitionChange::Kind::replace_at_end, service->text(true)};
    });
    if (failure)
        return *failure;
    if (!matched)
        warnings.push_back(fmt::format("unmatched service_name/type: \"{}\"", printable(request, true)));
    return out;
}

void warn_all(const std::vector<std::string>& lines)
{
    for (const std::string& line : lines)
        log::warn(line);
}

} // namespace

Result<std::string> edited_main_cf(std::string_view text, const Options& options,
                                   std::vector<std::string>& warnings)
{
    TRY_VOID(check_requests(options));
    std::vector<FileEdit> edits;
    for (const std::string& argument : options.arguments) {
        FileEdit edit{std::string(trim(argument)), edit_kind(options.action), {}};
        if (options.action == Action::edit) {
            TRY(const auto assignment, parse_assignment(argument));
            edit.key = assignment.first;
            edit.text = fmt::format("{} = {}", assignment.first, assignment.second);
        }
        if (const auto earlier = std::ranges::find(edits, edit.key, &FileEdit::key); earlier != edits.end()) {
            if (options.action == Action::edit)
                warnings.push_back(
                    fmt::format("ignoring earlier request: '{}'", printable(earlier->text, true)));
            edits.erase(earlier);
        }
        edits.push_back(std::move(edit));
    }
    std::vector<std::string> repeated;
    std::string out = edit_text(text, main_cf_key, edits, &repeated);
    for (const std::string& name : repeated)
        warnings.push_back(
            fmt::format("{}: multiple entries for \"{}\"", options.main_cf(), printable(name, true)));
    return out;
}

Result<std::string> edited_master_cf(std::string_view text, const Options& options,
                                     std::vector<std::string>& warnings)
{
    TRY_VOID(check_requests(options));
    std::string out(text);
    for (const std::string& argument : options.arguments) {
        std::pair<std::string, std::string> request{std::string(trim(argument)), {}};
        if (options.action == Action::edit) {
            TRY(request, parse_assignment(argument));
        }
        TRY(const ServicePattern pattern, parse_pattern(options.job, request.first));
        if (options.job != Job::services) {
            TRY(out, with_part(out, options, pattern, request.second, argument, warnings));
        } else if (options.action == Action::edit) {
            TRY(out, with_service(out, pattern, request.second, argument));
        } else {
            out = without_service(out, pattern, options.action);
        }
    }
    return out;
}

Result<> edit_parameters(const Options& options)
{
    std::vector<std::string> warnings;
    const auto result = rewrite_file(options.main_cf(), MainCf::size_limit, [&](std::string_view text) {
        return edited_main_cf(text, options, warnings);
    });
    warn_all(warnings);
    return result;
}

Result<> edit_services(const Options& options)
{
    std::vector<std::string> warnings;
    const auto result = rewrite_file(options.master_cf(), MasterCf::size_limit, [&](std::string_view text) {
        return edited_master_cf(text, options, warnings);
    });
    warn_all(warnings);
    return result;
}

} // namespace bulkhead::postconf
