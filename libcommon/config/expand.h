// The $name language of main.cf values: $name ${name} $(name) $$ ${name?text}
// ${name:text} ${name?{a}:{b}} ${{x} op {y} ? {a} : {b}}.  Where names get
// their values is the caller's business, so the same code serves main.cf, .forward
// paths, reply templates and pipe arguments.  (compat/feature-map.md, 0)
#pragma once

#include "base/result.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// The value of a name, nullopt when there is no such name (expands to nothing).
using MacroSource = std::function<std::optional<std::string>(std::string_view name)>;

struct ExpandLimits {
    int depth = 100;              // nested names and braces
    std::size_t size = 1 << 20;   // bytes of the result
    std::size_t lookups = 100000; // names looked up in all
};

// Expands text; values that the source gives are expanded too.  A loop is refused
// with the names in it; so are unbalanced braces and unknown operators.
Result<std::string> expand(std::string_view text, const MacroSource& source, ExpandLimits limits = {});

// The expanded value of one name: a loop that leads back to it is found.
Result<std::string> expand_name(std::string_view name, const MacroSource& source, ExpandLimits limits = {});

// The same as expand(), but values that the source gives are taken as they are: for
// templates that are filled with data from outside.
Result<std::string> expand_once(std::string_view text, const MacroSource& source, ExpandLimits limits = {});

// Names that text mentions, in every branch; never fails (stops at bad syntax).
std::vector<std::string> referenced_names(std::string_view text);

} // namespace bulkhead
