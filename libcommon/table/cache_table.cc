// LMDB files that are changed in place.  Several processes may share one.  Within a process
// writers take turns; readers wait for nobody but one who makes the map larger, for which the
// library wants all others out.
#include "base/text.h"
#include "table/lmdb_table.h"
#include "table/settings.h"
#include "table/writable_table.h"

#include <fmt/format.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mutex>
#include <shared_mutex>

namespace bulkhead
{

namespace
{

constexpr std::size_t largest_map_size = std::size_t{4} << 30;
constexpr std::size_t value_limit = 512 << 10;

MDB_val value_from(std::string_view bytes)
{
    return {bytes.size(), const_cast<char*>(bytes.data())};
}

std::string text_of(const MDB_val& value)
{
    return {static_cast<const char*>(value.mv_data), value.mv_size};
}

class CacheTable final : public WritableTable
{
public:
    explicit CacheTable(std::string path) : path_(std::move(path)) {}
    CacheTable(const CacheTable&) = delete;
    ~CacheTable() override
    {
        if (env_ != nullptr)
            mdb_env_close(env_);
    }

    Result<> open();

    Lookup find(std::string_view key) override;
    Result<> store(std::string_view key, std::string_view value) override;
    Result<bool> remove(std::string_view key) override;
    Result<std::optional<Entry>> after(std::string_view key) override;

private:
    // Runs work(transaction), an LMDB status, and commits; grows the map as often as needed.
    template <typename Work> int transact(unsigned flags, const Work& work);
    template <typename Work> int attempt(unsigned flags, const Work& work);
    int grow();
    Error error(int status) const { return {Fault::io, fmt::format("{}: {}", path_, mdb_strerror(status))}; }
    static bool is_key(std::string_view key) { return !key.empty() && key.size() <= LmdbWriter::key_limit; }

    const std::string path_;
    std::mutex writing_;
    std::shared_mutex map_; // alone: to change its size
    MDB_env* env_ = nullptr;
    unsigned dbi_ = 0;
};

// Made by root, it belongs to the owner of its folder: those who use it later are not root.
void give_to_owner_of_folder(const std::string& path)
{
    struct stat folder{};
    const auto slash = path.rfind('/');
    const std::string name = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    if (::geteuid() != 0 || ::stat(name.c_str(), &folder) != 0)
        return;
    for (const std::string& file : {path, path + "-lock"})
        (void)!::lchown(file.c_str(), folder.st_uid, folder.st_gid);
}

Result<> CacheTable::open()
{
    int status = mdb_env_create(&env_);
    if (status != 0)
        return error(status);
    mdb_env_set_mapsize(env_, table_settings().first_map_size);
    constexpr unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NOMETASYNC;
    status = mdb_env_open(env_, path_.c_str(), flags, 0600);
    if (status != 0)
        return error(status);
    give_to_owner_of_folder(path_);
    status = transact(0, [this](MDB_txn* txn) { return mdb_dbi_open(txn, nullptr, 0, &dbi_); });
    return status == 0 ? Result<>() : error(status);
}

template <typename Work> int CacheTable::attempt(unsigned flags, const Work& work)
{
    const std::shared_lock inside(map_);
    MDB_txn* txn = nullptr;
    int status = mdb_txn_begin(env_, nullptr, flags, &txn);
    if (status != 0)
        return status;
    status = work(txn);
    if (status == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return status;
}

template <typename Work> int CacheTable::transact(unsigned flags, const Work& work)
{
    std::unique_lock turn(writing_, std::defer_lock);
    if (flags != MDB_RDONLY)
        turn.lock();
    for (;;) {
        int status = attempt(flags, work);
        if (status != MDB_MAP_RESIZED && status != MDB_MAP_FULL)
            return status;
        const std::unique_lock alone(map_);
        // Resized: by another process.
        status = status == MDB_MAP_RESIZED ? mdb_env_set_mapsize(env_, 0) : grow();
        if (status != 0)
            return status;
    }
}

int CacheTable::grow()
{
    MDB_envinfo info{};
    mdb_env_info(env_, &info);
    return info.me_mapsize >= largest_map_size ? MDB_MAP_FULL
                                               : mdb_env_set_mapsize(env_, info.me_mapsize * 2);
}

Lookup CacheTable::find(std::string_view key)
{
    if (!is_key(key))
        return Lookup::absent();
    std::string found;
    const int status = transact(MDB_RDONLY, [&](MDB_txn* txn) {
        MDB_val wanted = value_from(key);
        MDB_val value{};
        const int got = mdb_get(txn, dbi_, &wanted, &value);
        if (got == 0)
            found = text_of(value);
        return got;
    });
    if (status == MDB_NOTFOUND)
        return Lookup::absent();
    return status == 0 ? Lookup::found(std::move(found))
                       : Lookup::broken(fmt::format("{}: {}", spec(), mdb_strerror(status)));
}

Result<> CacheTable::store(std::string_view key, std::string_view value)
{
    if (!is_key(key) || value.size() > value_limit)
        return Error{Fault::limit, fmt::format("{}: the key or value is too long", path_)};
    const int status = transact(0, [&](MDB_txn* txn) {
        MDB_val wanted = value_from(key);
        MDB_val stored = value_from(value);
        return mdb_put(txn, dbi_, &wanted, &stored, 0);
    });
    return status == 0 ? Result<>() : error(status);
}

Result<bool> CacheTable::remove(std::string_view key)
{
    if (!is_key(key))
        return false;
    const int status = transact(0, [&](MDB_txn* txn) {
        MDB_val wanted = value_from(key);
        return mdb_del(txn, dbi_, &wanted, nullptr);
    });
    if (status == MDB_NOTFOUND)
        return false;
    return status == 0 ? Result<bool>(true) : error(status);
}

Result<std::optional<WritableTable::Entry>> CacheTable::after(std::string_view key)
{
    if (key.size() > LmdbWriter::key_limit)
        return Error{Fault::limit, fmt::format("{}: the key is too long", path_)};
    Entry entry;
    const int status = transact(MDB_RDONLY, [&](MDB_txn* txn) {
        MDB_cursor* cursor = nullptr;
        if (const int opened = mdb_cursor_open(txn, dbi_, &cursor); opened != 0)
            return opened;
        const std::unique_ptr<MDB_cursor, decltype(&mdb_cursor_close)> owner(cursor, &mdb_cursor_close);
        MDB_val place = value_from(key);
        MDB_val value{};
        int got = mdb_cursor_get(cursor, &place, &value, key.empty() ? MDB_FIRST : MDB_SET_RANGE);
        if (got == 0 && !key.empty() && text_of(place) == key)
            got = mdb_cursor_get(cursor, &place, &value, MDB_NEXT);
        if (got == 0)
            entry = Entry{text_of(place), text_of(value)};
        return got;
    });
    if (status == MDB_NOTFOUND)
        return std::optional<Entry>();
    if (status != 0)
        return error(status);
    return std::optional(std::move(entry));
}

} // namespace

Result<std::unique_ptr<WritableTable>> open_cache_table(std::string_view name)
{
    auto table = std::make_unique<CacheTable>(lmdb_path(name));
    TRY_VOID(table->open());
    return std::unique_ptr<WritableTable>(std::move(table));
}

} // namespace bulkhead
