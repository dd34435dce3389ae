package pkgmgr

// Tags of the main header, from "RPM tags" of the rpm manual
// (https://rpm-software-management.github.io/rpm/manual/tags.html).
const (
	tagImmutable     = 63 // where what the file had ends, see writeImmutable
	tagSigPGP        = 259
	tagSigGPG        = 262
	tagPubkeys       = 266
	tagName          = 1000
	tagVersion       = 1001
	tagRelease       = 1002
	tagEpoch         = 1003
	tagSummary       = 1004
	tagDescription   = 1005
	tagBuildTime     = 1006
	tagBuildHost     = 1007
	tagInstallTime   = 1008
	tagSize          = 1009
	tagVendor        = 1011
	tagLicense       = 1014
	tagPackager      = 1015
	tagGroup         = 1016
	tagURL           = 1020
	tagArch          = 1022
	tagOldFileNames  = 1027 // of rpm 3: whole paths
	tagFileSizes     = 1028
	tagFileStates    = 1029
	tagFileModes     = 1030
	tagFileDevices   = 1033
	tagFileTimes     = 1034
	tagFileDigests   = 1035
	tagFileLinks     = 1036
	tagFileFlags     = 1037
	tagFileUsers     = 1039
	tagFileGroups    = 1040
	tagSourceRPM     = 1044
	tagFileVerify    = 1045
	tagArchiveSize   = 1046
	tagChangeTime    = 1080
	tagChangeName    = 1081
	tagChangeText    = 1082
	tagSourcePackage = 1106
	tagDirIndexes    = 1116
	tagBaseNames     = 1117
	tagDirNames      = 1118
	tagLongFileSizes = 5008
	tagLongSize      = 5009
	tagFileCaps      = 5010
	tagFileAlgo      = 5011
	tagPayloadDigest = 5092
	tagPayloadAlgo   = 5093
)

// Tags of the signature header ("RPM V4 Package Format", "Signature").
const (
	sigDSA             = 267
	sigRSA             = 268
	sigSHA1            = 269
	sigLongSize        = 270
	sigLongArchiveSize = 271
	sigSHA256          = 273
	sigOpenPGP         = 278
	sigSize            = 1000
	sigPGP             = 1002
	sigMD5             = 1004
	sigGPG             = 1005
	sigArchiveSize     = 1007
)

// relationTags names the three parallel tags of a kind of dependency.
type relationTags struct {
	name, flags, version uint32
}

var (
	tagsProvides    = relationTags{1047, 1112, 1113}
	tagsRequires    = relationTags{1049, 1048, 1050}
	tagsConflicts   = relationTags{1054, 1053, 1055}
	tagsObsoletes   = relationTags{1090, 1114, 1115}
	tagsRecommends  = relationTags{5046, 5048, 5047}
	tagsSuggests    = relationTags{5049, 5051, 5050}
	tagsSupplements = relationTags{5052, 5054, 5053}
	tagsEnhances    = relationTags{5055, 5057, 5056}
)

// Bits of a dependency's flags ("Dependencies" of the rpm manual, rpmds.h).
const (
	senseLess       = 1 << 1
	senseGreater    = 1 << 2
	senseEqual      = 1 << 3
	sensePosttrans  = 1 << 5
	sensePrereq     = 1 << 6
	sensePretrans   = 1 << 7
	senseScriptPre  = 1 << 9
	senseScriptPost = 1 << 10

	senseCompare = senseLess | senseGreater | senseEqual
	// sensePre marks what must be there before the package's scripts run: the
	// bits of pre="1" in createrepo_c's src/parsehdr.c. Old versions of it do
	// not count the two of transactions.
	sensePre = sensePrereq | senseScriptPre | senseScriptPost | sensePretrans | sensePosttrans
)

const (
	fileConfig    = 1 << 0 // RPMFILE_CONFIG of the file flags
	fileDoc       = 1 << 1
	fileMissingOK = 1 << 3
	fileGhost     = 1 << 6
	modeType      = 0o170000
	modeDir       = 0o040000
)
