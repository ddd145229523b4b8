/// The arguments and results of the canister's methods (docs/PROTOCOL.md, "Methods").
import Manifest "manifest";

module {
  public type Hash = Blob;

  public type Header = {
    number : Nat64;
    parent : ?Hash;
    manifest : { sha256 : Hash; size : Nat64; chunks : [Hash] };
    published_at : Nat64;
    publisher : Principal;
    note : Text;
    totals : Manifest.Totals;
  };

  public type PublishError = {
    /// `parent` is not the hash of the newest release's header: somebody else has published in between.
    #conflict : { number : Nat64; newest : ?Hash };
    /// These chunks are not here.
    #missing : [Hash];
    /// What is wrong with the manifest, the note or the number.
    #invalid : Text;
  };

  public type PublishResult = { #ok : Nat64; #err : PublishError };

  public type Status = {
    owner : Principal;
    /// Whether only principals with a role can read.
    is_private : Bool;
    cycles : Nat;
    /// The newest release's number; 0 before the first.
    newest : Nat64;
    /// Releases whose trees are here, and those of them that an owner keeps.
    held : [Nat64];
    kept : [Nat64];
    /// Numbers of releases whose trees were dropped, and of chunks that were freed, since the canister was installed.
    dropped : Nat64;
    freed_chunks : Nat64;
    chunks : Nat64;
    chunk_bytes : Nat64;
    /// Chunks that no release uses yet.
    loose_chunks : Nat64;
    /// Bytes in holes between chunks, which will be reused.
    hole_bytes : Nat64;
    /// Bytes of stable memory used by chunks and holes.
    region_bytes : Nat64;
    /// References that are still to be released, to chunks of dropped releases, and chunks that were not published in time.
    /// Absent from older canisters.
    backlog : ?Nat64;
    /// Bytes of heap and stable memory, which cost cycles over time. Absent from older canisters.
    memory_bytes : ?Nat64;
    settings : Settings;
    /// Absent from older canisters.
    http : ?Http;
    /// The version of icfs that it was compiled from. Absent from older canisters.
    version : ?Text;
  };

  /// What is served over HTTP.
  public type Http = {
    /// Whether an owner allows it; a private canister serves nothing in any case.
    on : Bool;
    /// The newest release whose pages are ready; 0 when none is.
    release : Nat64;
    /// Bytes of stable memory used by all pages.
    bytes : Nat64;
  };

  public type Settings = {
    /// The most bytes of chunks that the canister stores.
    quota : Nat64;
    /// The most bytes of unpublished chunks for each publisher.
    loose_quota : Nat64;
    /// How many of the newest releases are held, ...
    hold_newest : Nat32;
    /// ... along with all that are younger than this.
    hold_nanoseconds : Nat64;
  };
};
