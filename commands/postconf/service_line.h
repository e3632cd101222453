// One service of master.cf as text: its eight columns and its arguments.  Unlike the
// parser that master uses, this one takes what it can, for people repair files with
// postconf; and it keeps services that are defined twice.
#pragma once

#include "base/result.h"

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead::postconf
{

// The names of -F, in order; the last one is the command with its arguments.
constexpr std::array<std::string_view, 8> field_names{"service", "type",   "private",       "unprivileged",
                                                      "chroot",  "wakeup", "process_limit", "command"};

struct ServiceLine {
    // One argument; -o and the like stand together with their value.
    struct Argument {
        std::string word;  // "-o", "-v", "argv=/bin/x"; braces removed
        std::string value; // "name=value" of -o
        bool has_value = false;
        bool is_option = false; // stands before the first argument that is none
    };

    std::array<std::string, 8> fields; // the last: the program alone
    std::vector<Argument> arguments;
    std::vector<std::string> warnings; // unbalanced braces, for the person

    // "bad field count", "invalid chroot field \"x\" in \"...\"".
    static Result<ServiceLine> parse(std::string_view text);

    // "smtp/inet".
    std::string identity() const { return fields[0] + "/" + fields[1]; }

    // The whole line; folded: options with values on lines of their own.
    std::string text(bool fold) const;
    // The program and its arguments behind a prefix, folded as text() does.
    std::string command(bool fold = false, std::string_view prefix = {}) const;

    // The assignments of -o; of one name the last.
    std::map<std::string, std::string> parameters() const;

    // Checks and sets one field; an empty value or a command without a program is refused.
    Result<> set_field(std::string_view name, std::string_view value);
    // Puts -o name=value behind the other options, or in place of the same name.
    void set_parameter(std::string_view name, std::string_view value);
    void remove_parameter(std::string_view name);
};

// All services of a file in its order, each with the number of its line.  The error says file, line, reason.
Result<std::vector<ServiceLine>> parse_services(std::string_view text, std::string_view file,
                                                std::vector<std::string>& warnings);

// "smtp", "smtp/inet", "*/unix/chroot": up to `parts` parts, '*' for any.
class ServicePattern
{
public:
    // False if the text has too few or too many parts, or empty ones.
    bool parse(std::string_view text, std::size_t least, std::size_t most);

    bool matches(const ServiceLine& service) const { return matches(service.fields[0], service.fields[1]); }
    bool matches(std::string_view name, std::string_view type) const
    {
        return fits(0, name) && fits(1, type);
    }
    bool matches_name(std::string_view name) const { return fits(2, name); }
    // "*" where it was not given.
    std::string_view part(std::size_t i) const
    {
        return i < parts_.size() ? parts_[i] : std::string_view("*");
    }

private:
    bool fits(std::size_t i, std::string_view text) const { return part(i) == "*" || part(i) == text; }

    std::vector<std::string> parts_;
};

} // namespace bulkhead::postconf
