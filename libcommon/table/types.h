// The openers of the table types, one per file of this folder; table.cc knows which type has which.
// `name` is what follows "type:".
#pragma once

#include "table/table.h"

namespace bulkhead
{

using TableOpener = Result<std::unique_ptr<Table>> (*)(std::string_view name, const TableOptions& options);

Result<std::unique_ptr<Table>> open_texthash(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_inline(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_static(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_fail(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_environ(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_hash(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_btree(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_lmdb(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_cdb(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_debug(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_internal(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_regexp(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_pcre(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_cidr(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_unionmap(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_pipemap(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_randmap(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_unix(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_ldap(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_memcache(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_mysql(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_pgsql(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_sqlite(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_socketmap(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_tcp(std::string_view name, const TableOptions& options);
Result<std::unique_ptr<Table>> open_proxy(std::string_view name, const TableOptions& options);

// A table in which every look-up fails for this reason.
std::unique_ptr<Table> make_unavailable(std::string reason);

} // namespace bulkhead
