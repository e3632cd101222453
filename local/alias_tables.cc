#include "alias_tables.h"

#include <sys/stat.h>

#include <array>
#include <utility>

namespace bulkhead
{

namespace
{

// The file that a table of this type reads.
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> file_suffixes = {{
    {"hash", ".db"},
    {"btree", ".db"},
    {"lmdb", ".lmdb"},
    {"cdb", ".cdb"},
    {"texthash", ""},
}};

std::optional<CommandIdentity> owner_of(std::string_view spec)
{
    const auto [type, name] = split_table_spec(spec, "hash");
    for (const auto& [known, suffix] : file_suffixes) {
        if (type != known)
            continue;
        struct stat st{};
        std::string path(name);
        // A database that was made from the source for us is its maker's, the source is the author's.
        if (::stat((path + std::string(suffix)).c_str(), &st) != 0 && ::stat(path.c_str(), &st) != 0)
            return std::nullopt;
        if (st.st_uid == 0)
            return std::nullopt;
        return CommandIdentity{st.st_uid, st.st_gid};
    }
    return std::nullopt;
}

} // namespace

AliasTables AliasTables::open(std::string_view list)
{
    TableOptions options;
    options.is_alias_source = true;
    AliasTables aliases;
    aliases.tables_ = TableList::open(list, options);
    for (const auto& table : aliases.tables_.tables())
        aliases.owners_.push_back(owner_of(table->spec()));
    return aliases;
}

Result<std::optional<FoundAlias>> AliasTables::find(const std::string& key)
{
    for (std::size_t i = 0; i < owners_.size(); ++i) {
        const Lookup answer = tables_.tables()[i]->find(key);
        if (answer.is_broken())
            return Error{Fault::broken, answer.reason()};
        if (answer.is_found())
            return std::optional(FoundAlias{key, answer.value(), owners_[i]});
    }
    return std::optional<FoundAlias>();
}

} // namespace bulkhead
