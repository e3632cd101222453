#include "server_tls.h"

#include "tls/files.h"

namespace bulkhead
{

tls::Level tls_level_of(const PostscreenParams& params)
{
    if (params.tls_level().empty())
        return params.enforce_tls() ? tls::Level::encrypt
               : params.use_tls()   ? tls::Level::may
                                    : tls::Level::none;
    const auto level = tls::parse_level(params.tls_level());
    return level && !tls::is_verified(*level) ? *level : tls::Level::encrypt;
}

Result<std::unique_ptr<tls::ServerContext>> open_server_tls(const PostscreenParams& params,
                                                            const std::string& service)
{
    const tls::Level level = tls_level_of(params);
    tls::KeyFiles files;
    files.chain_files = params.chain_files();
    files.pairs = {{params.certificate(), params.key()}, {params.ec_certificate(), params.ec_key()}};
    if (level == tls::Level::none || files.paths().empty())
        return std::unique_ptr<tls::ServerContext>();
    const bool mandatory = tls::is_mandatory(level);
    tls::ServerOptions options;
    options.service = service;
    options.session_time = params.session_time();
    options.ticket_file = "private/tls_ticket_keys";
    options.fingerprint_digest = params.fingerprint_digest();
    TRY(options.certificates, tls::read_key_files(files));
    options.ask_certificate = params.ask_certificate();
    options.verify_depth = params.verify_depth();
    if (options.ask_certificate) {
        TRY(options.authorities, tls::read_authorities(params.authority_file(), params.authority_folder()));
    }
    TRY(options.protocols,
        tls::parse_protocols(mandatory ? params.mandatory_protocols() : params.protocols()));
    std::vector<std::string> excluded = params.excluded();
    if (mandatory)
        excluded.insert(excluded.end(), params.mandatory_excluded().begin(),
                        params.mandatory_excluded().end());
    if (options.ask_certificate)
        excluded.emplace_back("aNULL");
    TRY(options.ciphers,
        tls::cipher_list(params.tls_common.cipher_lists(),
                         mandatory ? params.mandatory_ciphers() : params.ciphers(), excluded));
    return tls::ServerContext::open(params.tls_common, std::move(options));
}

} // namespace bulkhead
