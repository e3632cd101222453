// LMDB files: reading them as tables, and making them (postmap, postalias).  A file is
// never changed in place: a new one is written beside it and renamed over it, so a
// reader sees the old or the new contents and needs no lock.
#pragma once

#include "base/result.h"
#include "table/map_file.h"
#include "table/table.h"

#include <functional>
#include <string>
#include <string_view>

struct MDB_env;
struct MDB_txn;

namespace bulkhead
{

// hash:/etc/x and lmdb:/etc/x both live in /etc/x.lmdb.
std::string lmdb_path(std::string_view table_name);

class LmdbReader
{
public:
    static constexpr std::size_t value_limit = 16 << 20;

    static Result<LmdbReader> open(const std::string& path);
    LmdbReader(LmdbReader&&) noexcept;
    LmdbReader& operator=(LmdbReader&&) noexcept;
    ~LmdbReader();

    Lookup find(std::string_view key, NulEnding ending = NulEnding::either) const;

    // Calls visit(key, value), bytes as stored, for all entries.
    Result<>
    for_each(const std::function<Result<>(std::string_view key, std::string_view value)>& visit) const;

private:
    LmdbReader() = default;
    MDB_env* env_ = nullptr;
    unsigned dbi_ = 0;
};

class LmdbWriter final : public MapWriter
{
public:
    static constexpr std::size_t key_limit = 511; // LMDB's own

    // A NewMapFile; with keep_old, it starts with the entries of the present file.
    static Result<LmdbWriter> create(const std::string& path, const std::string& like, bool keep_old);
    LmdbWriter(LmdbWriter&&) noexcept;
    LmdbWriter& operator=(LmdbWriter&&) = delete;
    ~LmdbWriter() override;

    Result<> put(std::string_view key, std::string_view value, NulEnding ending,
                 Duplicate duplicate) override;

    // True if the key was there (in either form).
    Result<bool> remove(std::string_view key);

    Result<> commit() override;

private:
    explicit LmdbWriter(NewMapFile file) : file_(std::move(file)) {}
    Result<> begin();
    Result<> grow();

    NewMapFile file_;
    MDB_env* env_ = nullptr;
    MDB_txn* txn_ = nullptr;
    unsigned dbi_ = 0;
};

} // namespace bulkhead
