// How postconf prints: one "name = value" per line, words one blank apart, folded on
// request; or all of it as one JSON array.
#pragma once

#include "options.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead::postconf
{

// Folded lines are at most this long where words allow, and begin with four blanks.
constexpr std::size_t line_limit = 80;
constexpr std::string_view indent = "    ";

// Words between blanks with one blank between them; in lines if fold says so.
std::string joined_words(std::string_view text, bool fold);

// The line of one pair as the options want it, without line end.
std::string pair_line(const Options& options, std::string_view name, std::string_view value);

// Collects what is shown and prints it at the end; JSON needs to know which is the last.
class Printer
{
public:
    using Fields = std::vector<std::pair<std::string_view, std::string>>;

    explicit Printer(const Options& options) : options_(options) {}

    // A pair; service is "smtp/inet" or empty for main.cf.
    void pair(std::string_view service, std::string_view name, std::string_view value);
    // Something with a line and, for JSON, fields of its own.
    void item(std::string_view line, const Fields& fields);

    // Everything, with line ends.
    std::string text() const;

private:
    const Options& options_;
    std::vector<std::string> lines_;
};

} // namespace bulkhead::postconf
