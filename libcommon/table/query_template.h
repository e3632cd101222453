// Templates with parts of the key in them: query, search_base, query_filter, result_format, key_format.
// %s the key, %u its local part, %d its domain, %1 to %9 the labels of the domain from the right,
// %S %U %D the same of the key where %s %u %d mean a result, %% a percent sign.  A template that wants
// a part that the key has not answers "no such key", without a question.
#pragma once

#include "base/result.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// user@domain taken apart.  The views point into the text it was made from.
struct AddressParts {
    explicit AddressParts(std::string_view text);

    std::string_view whole;
    std::string_view local;                 // all of it when there is no '@'
    std::optional<std::string_view> domain; // after the last '@'

    // Label `number` of the domain, from the right, 1 to 9.
    std::optional<std::string_view> label(int number) const;
};

class QueryTemplate
{
public:
    static constexpr std::size_t size_limit = 1 << 16;

    // Fault::config: what is wrong with it.
    static Result<QueryTemplate> parse(std::string_view text);

    // Appends text to the second argument, quoted; false when it cannot be.
    using Quote = std::function<bool(std::string_view text, std::string& out)>;

    // False when the key lacks a part that the template wants.
    bool fits(const AddressParts& key) const;

    // nullopt: does not fit, or cannot be quoted.
    std::optional<std::string> fill(const AddressParts& key, const Quote& quote) const;

    // The same for result_format: only %S %U %D %1-%9 are parts of the key.
    bool fits_results_of(const AddressParts& key) const;

    // The value in the form of the template; nullopt for one that is left out, being
    // empty or without the part that is wanted.
    std::optional<std::string> format(std::string_view value, const AddressParts& key) const;

private:
    // The literal text, then the part that `code` names; 0 for none.
    struct Piece {
        std::string text;
        char code = 0;
    };
    std::vector<Piece> pieces_;
};

} // namespace bulkhead
