// main.cf: the `name = value` file, kept with the place of every definition.
// It knows the file's syntax and nothing of what the names mean: unknown names
// are kept, values are not expanded.  (compat/feature-map.md, 0)
#pragma once

#include "base/result.h"

#include <map>
#include <string>
#include <string_view>

namespace bulkhead
{

// One definition: the value as written (continuation lines joined with their
// leading blanks), and where it begins.  line is 0 for a command-line override.
struct Setting {
    std::string value;
    std::string file;
    int line = 0;

    // "/etc/x/main.cf, line 12", "-o" for an override, or the file alone where there are no lines.
    std::string place() const;
};

class MainCf
{
public:
    using Settings = std::map<std::string, Setting, std::less<>>;

    static constexpr std::size_t size_limit = 4 << 20;
    static constexpr std::size_t value_limit = 1 << 20;
    static constexpr std::size_t count_limit = 20000;

    // Reads a file; the error names file, line and reason.
    static Result<MainCf> read(const std::string& path);
    static Result<MainCf> parse(std::string_view text, std::string_view file);

    // `-o name=value`: replaces or adds one definition.
    Result<> overlay(std::string_view assignment);

    // The same for a value from elsewhere, which `setting` names.
    void set(std::string_view name, Setting setting);

    // nullptr if the file does not say.  Lives as long as this object.
    const Setting* find(std::string_view name) const;

    // All definitions by name; the last one of each name has won.
    const Settings& settings() const { return settings_; }

private:
    Settings settings_;
};

// "name=value" or "name = value" into trimmed parts; refuses names that main.cf
// could not hold.  Used for `-o` everywhere and for postconf -e.
Result<std::pair<std::string, std::string>> parse_assignment(std::string_view text);

} // namespace bulkhead
