#include "allow_list.h"

#include "config/values.h"

namespace bulkhead
{

namespace
{
constexpr int nesting_limit = 10; // unionmap:{proxy:a:b, pipemap:{...}}
constexpr std::string_view prefix = "proxy:";
} // namespace

void AllowList::add(std::string_view list, int depth)
{
    for (const std::string& element : parse_list(list)) {
        std::string_view word = without_braces(element);
        while (word.starts_with('!'))
            word.remove_prefix(1);
        if (word.starts_with(prefix))
            tables_.emplace(word.substr(prefix.size()));
        const auto brace = word.find('{');
        if (brace != word.npos && word.ends_with('}') && depth < nesting_limit)
            add(word.substr(brace + 1, word.size() - brace - 2), depth + 1);
    }
}

} // namespace bulkhead
