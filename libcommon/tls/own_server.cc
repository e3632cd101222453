#include "tls/own_server.h"

#include "tls/files.h"

namespace bulkhead::tls
{

Result<std::unique_ptr<ServerContext>> open_own_server(const ServerParams& params, Level level,
                                                       const std::string& service)
{
    KeyFiles files;
    files.chain_files = params.chain_files();
    files.pairs = {{params.certificate(), params.key()}, {params.ec_certificate(), params.ec_key()}};
    if (level == Level::none || files.paths().empty())
        return std::unique_ptr<ServerContext>();
    const bool mandatory = is_mandatory(level);
    ServerOptions options;
    options.service = service;
    options.session_time = params.session_time();
    options.ticket_file = "private/tls_ticket_keys";
    options.fingerprint_digest = params.fingerprint_digest();
    TRY(options.certificates, read_key_files(files));
    options.ask_certificate = params.ask_certificate();
    options.verify_depth = params.verify_depth();
    if (options.ask_certificate) {
        TRY(options.authorities, read_authorities(params.authority_file(), params.authority_folder()));
    }
    TRY(options.protocols, parse_protocols(mandatory ? params.mandatory_protocols() : params.protocols()));
    std::vector<std::string> excluded = params.excluded();
    if (mandatory)
        excluded.insert(excluded.end(), params.mandatory_excluded().begin(),
                        params.mandatory_excluded().end());
    if (options.ask_certificate)
        excluded.emplace_back("aNULL");
    TRY(options.ciphers, cipher_list(params.common.cipher_lists(),
                                     mandatory ? params.mandatory_ciphers() : params.ciphers(), excluded));
    return ServerContext::open(params.common, std::move(options));
}

} // namespace bulkhead::tls
