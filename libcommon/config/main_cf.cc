#include "config/main_cf.h"

#include "base/text.h"
#include "config/logical_lines.h"
#include "os/files.h"

#include <fmt/format.h>

namespace bulkhead
{

std::string Setting::place() const
{
    return line > 0 ? fmt::format("{}, line {}", file, line) : file.empty() ? "-o" : file;
}

Result<std::pair<std::string, std::string>> parse_assignment(std::string_view text)
{
    text = trim(text);
    const auto end = std::min(text.find_first_of(" \t="), text.size());
    const std::string_view name = text.substr(0, end);
    const std::string_view rest = trim(text.substr(end));
    if (name.empty())
        return Error{Fault::malformed, "missing attribute name"};
    if (!rest.starts_with('='))
        return Error{Fault::malformed,
                     fmt::format("missing '=' after attribute name: \"{}\"", printable(name))};
    if (text.find_first_of(std::string_view("\0\n", 2)) != text.npos)
        return Error{Fault::malformed,
                     fmt::format("{}: value contains a NUL or a line end", printable(name))};
    return std::pair(std::string(name), std::string(trim(rest.substr(1))));
}

Result<MainCf> MainCf::read(const std::string& path)
{
    TRY(const std::string text, read_file(path, size_limit));
    return parse(text, path);
}

Result<MainCf> MainCf::parse(std::string_view text, std::string_view file)
{
    MainCf main;
    LogicalLines lines(text);
    const auto error = [&](Fault fault, std::string_view reason) {
        return Error{fault, fmt::format("{}, line {}: {}", file, lines.number(), reason)};
    };
    if (text.size() > size_limit)
        return Error{Fault::limit, fmt::format("{}: file is larger than {} bytes", file, size_limit)};
    while (lines.next()) {
        if (is_blank(lines.text().front()))
            continue; // continues nothing: ignored, as postconf warns
        if (lines.text().size() > value_limit)
            return error(Fault::limit, fmt::format("value is longer than {} bytes", value_limit));
        auto assignment = parse_assignment(lines.text());
        if (!assignment)
            return error(Fault::config, assignment.error().context);
        auto& [name, value] = *assignment;
        main.settings_.insert_or_assign(std::move(name),
                                        Setting{std::move(value), std::string(file), lines.number()});
        if (main.settings_.size() > count_limit)
            return error(Fault::limit, fmt::format("more than {} parameters", count_limit));
    }
    return main;
}

void MainCf::set(std::string_view name, Setting setting)
{
    settings_.insert_or_assign(std::string(name), std::move(setting));
}

Result<> MainCf::overlay(std::string_view assignment)
{
    auto parsed = parse_assignment(assignment);
    if (!parsed)
        return Error{Fault::config, fmt::format("-o {}: {}", printable(assignment), parsed.error().context)};
    settings_.insert_or_assign(std::move(parsed->first), Setting{std::move(parsed->second), "-o", 0});
    return {};
}

const Setting* MainCf::find(std::string_view name) const
{
    const auto it = settings_.find(name);
    return it == settings_.end() ? nullptr : &it->second;
}

} // namespace bulkhead
