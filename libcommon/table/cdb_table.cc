#include "table/cdb_table.h"

#include "base/text.h"
#include "table/file_value.h"
#include "table/file_watch.h"
#include "table/fold.h"
#include "table/types.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

extern "C" {
#include <cdb.h>
}

#include <cstring>
#include <utility>

namespace bulkhead
{

namespace
{

constexpr std::size_t key_limit = 1 << 20;
constexpr std::size_t value_limit = 16 << 20;

// ---- reading

class CdbTable final : public Table
{
public:
    CdbTable(UniqueFd file, FileWatch watch, const TableOptions& options)
        : file_(std::move(file)), watch_(std::move(watch)), fold_(options.fold_fixed_keys),
          values_are_files_(options.values_are_files)
    {
    }
    CdbTable(const CdbTable&) = delete;
    ~CdbTable() override
    {
        if (is_open_)
            cdb_free(&cdb_);
    }

    Result<> open()
    {
        if (cdb_init(&cdb_, file_.get()) != 0)
            return system_error("read database");
        is_open_ = true;
        return {};
    }

    Lookup find(std::string_view key) override
    {
        if (key.empty() || key.size() > key_limit)
            return Lookup::absent();
        // Without the NUL byte first: that is how postmap writes keys.
        std::string wanted = fold_ ? fold_key(key) : std::string(key);
        Lookup answer = find_exactly(wanted);
        if (answer.is_absent())
            answer = find_exactly(wanted.append(1, '\0'));
        if (!answer.is_found() || !values_are_files_)
            return answer;
        auto contents = from_base64(answer.value());
        return contents ? Lookup::found(*std::move(contents))
                        : Lookup::broken(
                              fmt::format("{}: malformed BASE64 value: make it with postmap -F", spec()));
    }
    bool is_stale() const override { return watch_.changed(); }

    Result<> for_each(const Visitor& visit) const override
    {
        cdb reader = cdb_;
        unsigned place = 0;
        cdb_seqinit(&place, &reader);
        int status = 0;
        while ((status = cdb_seqnext(&place, &reader)) > 0) {
            const auto* const key = static_cast<const char*>(cdb_getkey(&reader));
            const auto* const value = static_cast<const char*>(cdb_getdata(&reader));
            if (key == nullptr || value == nullptr)
                break;
            const auto text = [](std::string_view bytes) { return bytes.substr(0, bytes.find('\0')); };
            TRY_VOID(visit(text({key, cdb_keylen(&reader)}), text({value, cdb_datalen(&reader)})));
        }
        if (status != 0)
            return Error{Fault::malformed, fmt::format("{}: the database is damaged", spec())};
        return {};
    }

private:
    Lookup find_exactly(std::string_view key) const
    {
        cdb reader = cdb_; // a search leaves its place in there; the file is shared
        const int status = cdb_find(&reader, key.data(), static_cast<unsigned>(key.size()));
        if (status == 0)
            return Lookup::absent();
        const auto* const value = status > 0 ? static_cast<const char*>(cdb_getdata(&reader)) : nullptr;
        if (value == nullptr)
            return Lookup::broken(fmt::format("{}: the database is damaged", spec()));
        if (cdb_datalen(&reader) > value_limit)
            return Lookup::broken(fmt::format("{}: value is too long", spec()));
        std::string_view bytes(value, cdb_datalen(&reader));
        if (bytes.ends_with('\0'))
            bytes.remove_suffix(1);
        return Lookup::found(std::string(bytes));
    }

    UniqueFd file_;
    FileWatch watch_;
    cdb cdb_{};
    bool is_open_ = false;
    bool fold_;
    bool values_are_files_;
};

// ---- writing

class CdbWriter final : public MapWriter
{
public:
    explicit CdbWriter(NewMapFile file) : file_(std::move(file))
    {
        started_ = cdb_make_start(&make_, file_.fd()) == 0;
    }
    CdbWriter(const CdbWriter&) = delete;
    ~CdbWriter() override
    {
        // The library frees what it holds only at the end of the file, which nobody will see.
        if (started_)
            cdb_make_finish(&make_);
    }

    Result<> put(std::string_view key, std::string_view value, NulEnding ending, Duplicate duplicate) override
    {
        std::string key_bytes(key);
        std::string value_bytes(value);
        if (ending == NulEnding::with) {
            key_bytes.push_back('\0');
            value_bytes.push_back('\0');
        }
        if (key_bytes.size() > key_limit || value_bytes.size() > value_limit)
            return Error{Fault::limit, fmt::format("write database {}: entry is too long", file_.path())};
        const cdb_put_mode mode = duplicate == Duplicate::replace ? CDB_PUT_REPLACE : CDB_PUT_INSERT;
        const int status =
            started_ ? cdb_make_put(&make_, key_bytes.data(), static_cast<unsigned>(key_bytes.size()),
                                    value_bytes.data(), static_cast<unsigned>(value_bytes.size()), mode)
                     : -1;
        if (status < 0)
            return system_error("write database " + file_.path());
        if (status > 0 && duplicate == Duplicate::refuse)
            return Error{Fault::refused, fmt::format("duplicate entry: \"{}\"", printable(key, true))};
        return {};
    }

    Result<> commit() override
    {
        if (!std::exchange(started_, false) || cdb_make_finish(&make_) != 0 || ::fsync(file_.fd()) != 0)
            return system_error("write database " + file_.path());
        return std::move(file_).commit();
    }

private:
    NewMapFile file_;
    cdb_make make_{};
    bool started_ = false;
};

} // namespace

Result<std::unique_ptr<MapWriter>> create_cdb(const std::string& path, const std::string& like)
{
    TRY(NewMapFile file, NewMapFile::create(path, like));
    return std::unique_ptr<MapWriter>(std::make_unique<CdbWriter>(std::move(file)));
}

Result<std::unique_ptr<Table>> open_cdb(std::string_view name, const TableOptions& options)
{
    const std::string path = std::string(name) + ".cdb";
    UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file)
        return system_error("open database " + path);
    warn_if_older_than_source(path, std::string(name));
    TRY(FileWatch watch, FileWatch::open(path));
    auto table = std::make_unique<CdbTable>(std::move(file), std::move(watch), options);
    TRY_VOID(table->open());
    return std::unique_ptr<Table>(std::move(table));
}

} // namespace bulkhead
