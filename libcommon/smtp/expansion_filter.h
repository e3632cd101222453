// smtpd_expansion_filter and its like: the characters that what is told of a client may bring into
// a reply.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead
{

class ExpansionFilter
{
public:
    ExpansionFilter() = default;

    // "\\t\\40abc": characters and C escapes.
    explicit ExpansionFilter(std::string_view escaped);

    // Every other character becomes '_'.
    std::string filtered(std::string text) const;

private:
    std::string allowed_;
};

} // namespace bulkhead
