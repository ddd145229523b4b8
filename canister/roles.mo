/// Who can do what. The controllers are owners, and so is the principal that was named at the first installation (or
/// that installed); owners grant roles.
import Map "mo:core/Map";
import Principal "mo:core/Principal";
import Set "mo:core/Set";

module {
  public type Role = {
    /// Can put, publish and roll back, and read.
    #publisher;
    /// Can read a private canister.
    #reader;
  };

  /// What can be granted: a role; or in addition to that, the right to promote. (Promoting is not a `Role`: hosts from before channels
  /// decode those.)
  public type Grant = Role or { #promoter };

  /// Who can change channels.
  public type Promoters = Set.Set<Principal>;

  public type Roles = {
    granted : Map.Map<Principal, Role>;
    /// Whether only principals with a role can read.
    var isPrivate : Bool;
  };

  public func empty() : Roles = { granted = Map.empty(); var isPrivate = false };

  public func of({ granted } : Roles, who : Principal) : ?Role = Map.get(granted, Principal.compare, who);

  public func isOwner(owner : Principal, who : Principal) : Bool {
    who == owner or Principal.isController(who);
  };

  public func mayPublish(roles : Roles, owner : Principal, who : Principal) : Bool {
    isOwner(owner, who) or of(roles, who) == ?#publisher;
  };

  public func mayPromote(promoters : Promoters, owner : Principal, who : Principal) : Bool {
    isOwner(owner, who) or Set.contains(promoters, Principal.compare, who);
  };

  public func mayRead(roles : Roles, promoters : Promoters, owner : Principal, who : Principal) : Bool {
    not roles.isPrivate or of(roles, who) != null or mayPromote(promoters, owner, who);
  };
};
