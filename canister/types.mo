/// What the canister's methods take and give (docs/PROTOCOL.md, "Methods").
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
    /// `parent` is not the newest release's header hash: somebody published in between.
    #conflict : { number : Nat64; newest : ?Hash };
    /// These chunks are not here.
    #missing : [Hash];
    /// What is wrong with the manifest, the note or the number.
    #invalid : Text;
  };

  public type PublishResult = { #ok : Nat64; #err : PublishError };

  public type Status = {
    owner : Principal;
    /// Only those with a role may read.
    is_private : Bool;
    cycles : Nat;
    /// The newest release's number; 0 before the first.
    newest : Nat64;
    /// Releases whose trees are here, and those among them that an owner keeps.
    held : [Nat64];
    kept : [Nat64];
    /// Releases whose trees were dropped, and chunks that were freed, since the canister was installed.
    dropped : Nat64;
    freed_chunks : Nat64;
    chunks : Nat64;
    chunk_bytes : Nat64;
    /// Chunks that no release uses yet.
    loose_chunks : Nat64;
    /// Bytes in holes between chunks, to be used again.
    hole_bytes : Nat64;
    /// Bytes of stable memory that chunks and holes take.
    region_bytes : Nat64;
    /// What is to be freed and still here: chunks of releases that were let go, as often as those have them, and chunks that were
    /// not published in time. Canisters before this field have none.
    backlog : ?Nat64;
    settings : Settings;
    /// Canisters before this field have none.
    http : ?Http;
  };

  /// What is served over HTTP.
  public type Http = {
    /// Whether an owner lets it; a private canister serves nothing whatever this says.
    on : Bool;
    /// The newest release whose pages are ready; 0 when none is.
    release : Nat64;
    /// Bytes of stable memory that all pages take.
    bytes : Nat64;
  };

  public type Settings = {
    /// Bytes of chunks the canister stores at most.
    quota : Nat64;
    /// Bytes of chunks that each publisher may have stored and not yet published.
    loose_quota : Nat64;
    /// So many of the newest releases are held, ...
    hold_newest : Nat32;
    /// ... and all that are younger than this.
    hold_nanoseconds : Nat64;
  };
};
