#include "table/lmdb_table.h"

#include "base/text.h"
#include "table/file_value.h"
#include "table/file_watch.h"
#include "table/fold.h"
#include "table/settings.h"
#include "table/types.h"

#include <fmt/format.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <utility>

namespace bulkhead
{

namespace
{

Error lmdb_error(std::string_view what, int status)
{
    return {Fault::io, fmt::format("{}: {}", what, mdb_strerror(status)), status > 0 ? status : 0};
}

MDB_val value_from(std::string_view bytes)
{
    return {bytes.size(), const_cast<char*>(bytes.data())};
}

std::string_view view_of(const MDB_val& value)
{
    return {static_cast<const char*>(value.mv_data), value.mv_size};
}

std::string_view without_nul(std::string_view bytes)
{
    if (bytes.ends_with('\0'))
        bytes.remove_suffix(1);
    return bytes;
}

// A read transaction for the length of one call.
class ReadTransaction
{
public:
    explicit ReadTransaction(MDB_env* env) : status_(mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn_)) {}
    ReadTransaction(const ReadTransaction&) = delete;
    ~ReadTransaction()
    {
        if (status_ == 0)
            mdb_txn_abort(txn_);
    }
    int status() const { return status_; }
    MDB_txn* get() const { return txn_; }

private:
    MDB_txn* txn_ = nullptr;
    int status_;
};

} // namespace

std::string lmdb_path(std::string_view table_name)
{
    return std::string(table_name) + ".lmdb";
}

Result<LmdbReader> LmdbReader::open(const std::string& path)
{
    LmdbReader reader;
    if (const int status = mdb_env_create(&reader.env_); status != 0)
        return lmdb_error("open database " + path, status);
    // No lock file: writers replace the file, and readers may have no right to write a lock.
    constexpr unsigned flags = MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS;
    if (const int status = mdb_env_open(reader.env_, path.c_str(), flags, 0); status != 0)
        return lmdb_error("open database " + path, status);
    const ReadTransaction transaction(reader.env_);
    if (transaction.status() != 0)
        return lmdb_error("open database " + path, transaction.status());
    if (const int status = mdb_dbi_open(transaction.get(), nullptr, 0, &reader.dbi_); status != 0)
        return lmdb_error("open database " + path, status);
    return reader;
}

LmdbReader::LmdbReader(LmdbReader&& other) noexcept
    : env_(std::exchange(other.env_, nullptr)), dbi_(other.dbi_)
{
}

LmdbReader& LmdbReader::operator=(LmdbReader&& other) noexcept
{
    std::swap(env_, other.env_);
    std::swap(dbi_, other.dbi_);
    return *this;
}

LmdbReader::~LmdbReader()
{
    if (env_ != nullptr)
        mdb_env_close(env_);
}

Lookup LmdbReader::find(std::string_view key, NulEnding ending) const
{
    if (key.empty() || key.size() >= LmdbWriter::key_limit)
        return Lookup::absent();
    const ReadTransaction transaction(env_);
    if (transaction.status() != 0)
        return Lookup::broken(mdb_strerror(transaction.status()));
    const std::string with_nul = std::string(key) + '\0';
    for (const bool nul : {false, true}) {
        if ((nul && ending == NulEnding::without) || (!nul && ending == NulEnding::with))
            continue;
        MDB_val wanted = value_from(nul ? std::string_view(with_nul) : key);
        MDB_val value{};
        const int status = mdb_get(transaction.get(), dbi_, &wanted, &value);
        if (status == 0 && value.mv_size > value_limit)
            return Lookup::broken("value is too long");
        if (status == 0)
            return Lookup::found(std::string(without_nul(view_of(value))));
        if (status != MDB_NOTFOUND)
            return Lookup::broken(mdb_strerror(status));
    }
    return Lookup::absent();
}

Result<>
LmdbReader::for_each(const std::function<Result<>(std::string_view key, std::string_view value)>& visit) const
{
    const ReadTransaction transaction(env_);
    MDB_cursor* cursor = nullptr;
    int status = transaction.status();
    if (status == 0)
        status = mdb_cursor_open(transaction.get(), dbi_, &cursor);
    if (status != 0)
        return lmdb_error("read database", status);
    const std::unique_ptr<MDB_cursor, decltype(&mdb_cursor_close)> owner(cursor, &mdb_cursor_close);
    MDB_val key{};
    MDB_val value{};
    for (status = mdb_cursor_get(cursor, &key, &value, MDB_FIRST); status == 0;
         status = mdb_cursor_get(cursor, &key, &value, MDB_NEXT))
        TRY_VOID(visit(view_of(key), view_of(value)));
    if (status != MDB_NOTFOUND)
        return lmdb_error("read database", status);
    return {};
}

// ---- writing

Result<LmdbWriter> LmdbWriter::create(const std::string& path, const std::string& like, bool keep_old)
{
    TRY(NewMapFile file, NewMapFile::create(path, like));
    LmdbWriter writer(std::move(file));
    if (const int status = mdb_env_create(&writer.env_); status != 0)
        return lmdb_error("create database " + path, status);
    mdb_env_set_mapsize(writer.env_, table_settings().first_map_size);
    // commit() syncs once; nobody else sees the file before.
    constexpr unsigned flags = MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC | MDB_NOTLS;
    if (const int status = mdb_env_open(writer.env_, writer.file_.temporary().c_str(), flags, 0600);
        status != 0)
        return lmdb_error("create database " + path, status);
    TRY_VOID(writer.begin());

    struct stat present{};
    if (keep_old && ::stat(path.c_str(), &present) == 0) {
        TRY(const LmdbReader old, LmdbReader::open(path));
        TRY_VOID(old.for_each([&](std::string_view key, std::string_view value) {
            return writer.put(key, value, NulEnding::without, Duplicate::replace);
        }));
    }
    return writer;
}

LmdbWriter::LmdbWriter(LmdbWriter&& other) noexcept
    : file_(std::move(other.file_)), env_(std::exchange(other.env_, nullptr)),
      txn_(std::exchange(other.txn_, nullptr)), dbi_(other.dbi_)
{
}

LmdbWriter::~LmdbWriter()
{
    if (txn_ != nullptr)
        mdb_txn_abort(txn_);
    if (env_ != nullptr)
        mdb_env_close(env_);
}

Result<> LmdbWriter::begin()
{
    int status = mdb_txn_begin(env_, nullptr, 0, &txn_);
    if (status != 0) {
        txn_ = nullptr;
        return lmdb_error("write database " + file_.path(), status);
    }
    status = mdb_dbi_open(txn_, nullptr, 0, &dbi_);
    return status == 0 ? Result<>() : lmdb_error("write database " + file_.path(), status);
}

// Keeps what has been written so far and doubles the room.
Result<> LmdbWriter::grow()
{
    constexpr std::size_t largest_map_size = std::size_t{1} << 40;
    MDB_envinfo info{};
    mdb_env_info(env_, &info);
    if (info.me_mapsize >= largest_map_size)
        return Error{Fault::limit, fmt::format("write database {}: too large", file_.path())};
    const int status = mdb_txn_commit(std::exchange(txn_, nullptr));
    if (status != 0)
        return lmdb_error("write database " + file_.path(), status);
    mdb_env_set_mapsize(env_, info.me_mapsize * 2);
    return begin();
}

Result<> LmdbWriter::put(std::string_view key, std::string_view value, NulEnding ending, Duplicate duplicate)
{
    std::string key_bytes(key);
    std::string value_bytes(value);
    if (ending == NulEnding::with) {
        key_bytes.push_back('\0');
        value_bytes.push_back('\0');
    }
    if (key_bytes.empty() || key_bytes.size() > key_limit)
        return Error{Fault::limit, fmt::format("write database {}: key is longer than {} bytes: \"{}...\"",
                                               file_.path(), key_limit, printable(key.substr(0, 40)))};
    // Room first: a transaction that met a full map cannot go on.
    MDB_envinfo info{};
    MDB_stat statistics{};
    mdb_env_info(env_, &info);
    mdb_stat(txn_, dbi_, &statistics);
    const std::size_t used =
        (statistics.ms_branch_pages + statistics.ms_leaf_pages + statistics.ms_overflow_pages) *
        static_cast<std::size_t>(statistics.ms_psize);
    if (used * 2 + value_bytes.size() * 2 + (1 << 20) > info.me_mapsize) {
        TRY_VOID(grow());
    }

    MDB_val wanted = value_from(key_bytes);
    MDB_val stored = value_from(value_bytes);
    const unsigned flags = duplicate == Duplicate::refuse ? MDB_NOOVERWRITE : 0u;
    const int status = mdb_put(txn_, dbi_, &wanted, &stored, flags);
    if (status == MDB_KEYEXIST)
        return Error{Fault::refused, fmt::format("duplicate entry: \"{}\"", printable(key, true))};
    return status == 0 ? Result<>() : lmdb_error("write database " + file_.path(), status);
}

Result<bool> LmdbWriter::remove(std::string_view key)
{
    bool removed = false;
    const std::string with_nul = std::string(key) + '\0';
    for (const std::string_view form : {key, std::string_view(with_nul)}) {
        if (form.empty() || form.size() > key_limit)
            continue;
        MDB_val wanted = value_from(form);
        const int status = mdb_del(txn_, dbi_, &wanted, nullptr);
        if (status != 0 && status != MDB_NOTFOUND)
            return lmdb_error("write database " + file_.path(), status);
        removed = removed || status == 0;
    }
    return removed;
}

Result<> LmdbWriter::commit()
{
    int status = mdb_txn_commit(std::exchange(txn_, nullptr));
    if (status == 0)
        status = mdb_env_sync(env_, 1);
    if (status != 0)
        return lmdb_error("write database " + file_.path(), status);
    mdb_env_close(std::exchange(env_, nullptr));
    return std::move(file_).commit();
}

// ---- the table

namespace
{

class LmdbTable final : public Table
{
public:
    LmdbTable(LmdbReader reader, FileWatch watch, const TableOptions& options)
        : reader_(std::move(reader)), watch_(std::move(watch)), fold_(options.fold_fixed_keys),
          values_are_files_(options.values_are_files)
    {
    }

    Lookup find(std::string_view key) override
    {
        Lookup answer = fold_ ? reader_.find(fold_key(key)) : reader_.find(key);
        if (answer.is_broken())
            return Lookup::broken(fmt::format("{}: {}", spec(), answer.reason()));
        if (!values_are_files_ || !answer.is_found())
            return answer;
        auto contents = from_base64(answer.value());
        return contents ? Lookup::found(*std::move(contents))
                        : Lookup::broken(
                              fmt::format("{}: malformed BASE64 value: make it with postmap -F", spec()));
    }
    Result<> for_each(const Visitor& visit) const override
    {
        return reader_.for_each([&](std::string_view key, std::string_view value) {
            const auto text = [](std::string_view bytes) { return bytes.substr(0, bytes.find('\0')); };
            return visit(text(key), text(value));
        });
    }
    bool is_stale() const override { return watch_.changed(); }

private:
    LmdbReader reader_;
    FileWatch watch_;
    bool fold_;
    bool values_are_files_;
};

} // namespace

// hash: and btree: names whose database is still Berkeley DB's are made anew here, before the jail.
static Result<std::unique_ptr<Table>> open_database(std::string_view type, std::string_view name,
                                                    const TableOptions& options)
{
    const std::string path = lmdb_path(name);
    if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT && type != "lmdb" &&
        ::access((std::string(name) + ".db").c_str(), F_OK) == 0)
        TRY_VOID(rebuild_berkeley_map(type, name, options.is_alias_source));
    auto watch = FileWatch::open(path);
    if (!watch)
        return Error{watch.error().fault,
                     fmt::format("open database {}: {}", path, std::strerror(watch.error().number)),
                     watch.error().number};
    warn_if_older_than_source(path, std::string(name));
    TRY(LmdbReader reader, LmdbReader::open(path));
    return std::unique_ptr<Table>(std::make_unique<LmdbTable>(std::move(reader), *std::move(watch), options));
}

Result<std::unique_ptr<Table>> open_hash(std::string_view name, const TableOptions& options)
{
    return open_database("hash", name, options);
}

Result<std::unique_ptr<Table>> open_btree(std::string_view name, const TableOptions& options)
{
    return open_database("btree", name, options);
}

Result<std::unique_ptr<Table>> open_lmdb(std::string_view name, const TableOptions& options)
{
    return open_database("lmdb", name, options);
}

} // namespace bulkhead
