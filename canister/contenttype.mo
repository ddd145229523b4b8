/// The media type that a file is served with: by its name, as web servers do.
import Text "mo:core/Text";

module {
  /// What a browser is to save rather than show, and firmware takes for what it is.
  let binary = "application/octet-stream";

  let types : [(Text, Text)] = [
    (".html", "text/html; charset=utf-8"),
    (".htm", "text/html; charset=utf-8"),
    (".txt", "text/plain; charset=utf-8"),
    (".cfg", "text/plain; charset=utf-8"),
    (".conf", "text/plain; charset=utf-8"),
    (".ipxe", "text/plain; charset=utf-8"),
    (".md", "text/plain; charset=utf-8"),
    (".css", "text/css; charset=utf-8"),
    (".js", "text/javascript; charset=utf-8"),
    (".json", "application/json"),
    (".yaml", "application/yaml"),
    (".yml", "application/yaml"),
    (".xml", "text/xml; charset=utf-8"),
    (".svg", "image/svg+xml"),
    (".png", "image/png"),
    (".jpg", "image/jpeg"),
    (".jpeg", "image/jpeg"),
    (".gif", "image/gif"),
    (".webp", "image/webp"),
    (".ico", "image/vnd.microsoft.icon"),
    (".pdf", "application/pdf"),
    (".woff2", "font/woff2"),
    (".wasm", "application/wasm"),
    (".gz", "application/gzip"),
    (".xz", "application/x-xz"),
    (".zst", "application/zstd"),
    (".zip", "application/zip"),
    (".iso", "application/vnd.efi.iso"),
    (".img", "application/vnd.efi.img"),
    (".efi", "application/efi"),
  ];

  /// @param name a file's own, without its directory; the empty name is a directory's index
  public func of(name : Text) : Text {
    if (name == "") return "text/html; charset=utf-8";
    let lower = Text.toLower(name);
    for ((ending, mediaType) in types.vals()) if (Text.endsWith(lower, #text ending)) return mediaType;
    binary;
  };
};
