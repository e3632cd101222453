// The right-hand side of an alias, the lines of .forward and of :include: files: addresses,
// |commands, /files and :include: lists, between commas.  Syntax only (aliases(5)).
#pragma once

#include "base/result.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct Destination {
    enum class Kind { address, literal_user, command, file, include } kind = Kind::address;
    std::string text; // the internal address, the user behind "\", the command, the path

    bool operator==(const Destination&) const = default;
};

inline constexpr std::size_t max_destinations = 10'000; // of one alias or file

// One logical line.  What is in quotes or in (comments) keeps its commas.  Fault::malformed for
// open quotes and for what is no address, Fault::limit for too many.
Result<std::vector<Destination>> parse_destinations(std::string_view line);

// A whole file: lines that begin with # are comments, a line that begins with a blank goes on
// with the one before.
Result<std::vector<Destination>> parse_destination_file(std::string_view text);

} // namespace bulkhead
