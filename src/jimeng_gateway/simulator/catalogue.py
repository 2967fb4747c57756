"""The models that the simulated site offers, from the tables of jimeng-web.md 3.1, 3.3, 4.1, 5.1 and 5.2.

Prices are single figures for all accounts, and the pixel sizes of "1.5k" are made up: the site's own are
unknown. `configs` turns these tables into the replies of the catalogue calls.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Ratio by code, 1 to 8 (3.3).
RATIOS = ("1:1", "3:4", "16:9", "4:3", "9:16", "2:3", "3:2", "21:9")

_Sizes = tuple[tuple[int, int], ...]

#: Width and height per resolution, in the order of RATIOS.
SIZES: dict[str, _Sizes] = {
    "1k": (
        (1024, 1024),
        (768, 1024),
        (1024, 576),
        (1024, 768),
        (576, 1024),
        (682, 1024),
        (1024, 682),
        (1195, 512),
    ),
    "1.3k": (
        (1328, 1328),
        (1104, 1472),
        (1664, 936),
        (1472, 1104),
        (936, 1664),
        (1056, 1584),
        (1584, 1056),
        (2016, 846),
    ),
    "1.5k": (
        (1536, 1536),
        (1296, 1728),
        (1920, 1080),
        (1728, 1296),
        (1080, 1920),
        (1248, 1872),
        (1872, 1248),
        (2268, 972),
    ),
    "2k": (
        (2048, 2048),
        (1728, 2304),
        (2560, 1440),
        (2304, 1728),
        (1440, 2560),
        (1664, 2496),
        (2496, 1664),
        (3024, 1296),
    ),
    "4k": (
        (4096, 4096),
        (3520, 4693),
        (5404, 3040),
        (4693, 3520),
        (3040, 5404),
        (3328, 4992),
        (4992, 3328),
        (6197, 2656),
    ),
}

VIDEO_RATIOS = ("21:9", "16:9", "4:3", "1:1", "3:4", "9:16")


@dataclass(frozen=True, slots=True)
class ImageModel:
    """One image model."""

    key: str
    title: str
    #: `resolution_type` to the name of its table in SIZES.
    tiers: dict[str, str]
    #: Numbers of pictures that the catalogue declares; empty where it declares none.
    counts: tuple[int, ...] = ()
    default_count: int = 4
    default_tier: str | None = None
    #: Credits per picture.
    price: int = 1
    #: Largest number of reference images; 0 where it takes none.
    references: int = 10
    benefit: str = ""
    withdrawn: bool = False
    new: bool = False

    def allowed_counts(self) -> tuple[int, ...]:
        """What `gen_count` may be."""
        return self.counts or (1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class VideoModel:
    """One video model."""

    key: str
    title: str
    #: Resolution to the benefit type that the catalogue names for it.
    benefits: dict[str, str]
    #: Lengths in seconds.
    durations: tuple[int, ...]
    #: Benefit types that are accepted although the catalogue names others.
    also: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ("prompt", "first_frame", "end_frame")
    #: Credits per second.
    price: int = 6
    default_duration: int = 5
    withdrawn: bool = False
    #: Limits of omni references: images, videos, audios, total, seconds of video, seconds of audio (5.5).
    materials: tuple[int, int, int, int, float, float] | None = None


def _eight() -> tuple[int, ...]:
    return tuple(range(1, 9))


_2K4K = {"2k": "2k", "4k": "4k"}
_OLD = {"1k": "1k"}

IMAGE_MODELS: tuple[ImageModel, ...] = (
    ImageModel("high_aes_general_v50", "图片5.0 Lite", _2K4K, _eight(), benefit="image_basic_v5_2k"),
    ImageModel(
        "high_aes_general_v50p_large",
        "图片5.0 Pro",
        {"1.5k": "1.5k", **_2K4K},
        (1, 2, 3, 4),
        2,
        price=8,
        benefit="image_basic_v50p_2k",
    ),
    ImageModel(
        "high_aes_general_v50_flash",
        "图片5.0 Flash",
        {"1.5k": "1.5k", "2k": "2k"},
        (1, 2, 3, 4),
        price=3,
        benefit="image_basic_v50_flash_2k",
        new=True,
    ),
    ImageModel("high_aes_general_v43", "图片4.7", _2K4K, _eight()),
    ImageModel("high_aes_general_v42", "图片4.6", {"1k": "1k", **_2K4K}, _eight(), default_tier="2k"),
    ImageModel("high_aes_general_v40l", "图片4.5", _2K4K, _eight()),
    ImageModel("high_aes_general_v41", "图片4.1", _2K4K, _eight()),
    ImageModel("high_aes_general_v40", "图片4.0", _2K4K, _eight()),
    ImageModel(
        "high_aes_general_v30l_art_fangzhou:general_v3.0_18b",
        "图片3.1",
        {"1k": "1.3k", "2k": "2k"},
        references=0,
    ),
    ImageModel("high_aes_general_v30l:general_v3.0_18b", "图片3.0", {"1k": "1.3k", "2k": "2k"}, references=0),
    ImageModel(
        "jm_image_model_yc_mj82",
        "图片美学 V8.2",
        {"1k": "1k", "2k": "2k"},
        (4,),
        default_tier="1k",
        price=7,
        references=20,
    ),
    ImageModel("high_aes_general_v21_L:general_v2.1_L", "图片2.1", _OLD, references=0, withdrawn=True),
    ImageModel("high_aes_general_v20_L:general_v2.0_L", "图片2.0 Pro", _OLD, references=0, withdrawn=True),
    ImageModel("high_aes_general_v20:general_v2.0", "图片2.0", _OLD, references=0, withdrawn=True),
    ImageModel("high_aes_general_v14:general_v1.4", "图片1.4", _OLD, references=0, withdrawn=True),
    ImageModel("text2img_xl_sft", "图片XL Pro", _OLD, references=0, withdrawn=True),
)

_V3 = "basic_video_operation_vgfm_v_three"
_OMNI = ("prompt", "first_frame", "end_frame", "multi_frame", "unified_edit")
_TO15 = tuple(range(4, 16))
_TO30 = tuple(range(4, 31))
_REF20 = (9, 3, 3, 12, 15.4, 15.0)
_REF25 = (30, 10, 10, 50, 30.2, 30.2)

VIDEO_MODELS: tuple[VideoModel, ...] = (
    VideoModel(
        "dreamina_seedance_40_pro",
        "即梦 Seedance 2.0",
        {"720p": "dreamina_video_seedance_20_pro"},
        _TO15,
        ("dreamina_video_seedance_20_pro_with_video", "dreamina_video_seedance_20_video_add"),
        _OMNI,
        price=8,
        materials=_REF20,
    ),
    VideoModel(
        "dreamina_seedance_40",
        "即梦 Seedance 2.0 Fast",
        {"720p": "dreamina_seedance_20_fast"},
        _TO15,
        ("dreamina_seedance_20_fast_with_video",),
        _OMNI,
        price=5,
        materials=_REF20,
    ),
    VideoModel(
        "dreamina_seedance_40_pro_vision",
        "即梦 Seedance 2.0 VIP",
        {
            "720p": "seedance_20_pro_720p_output",
            "1080p": "seedance_20_pro_1080p_output",
            "4k": "seedance_20_pro_4k_output",
        },
        _TO15,
        inputs=_OMNI,
        price=14,
        materials=_REF20,
    ),
    VideoModel(
        "dreamina_seedance_40_vision",
        "即梦 Seedance 2.0 Fast VIP",
        {"720p": "seedance_20_fast_720p_output"},
        _TO15,
        ("dreamina_seedance_20_fast_5s",),
        _OMNI,
        materials=_REF20,
    ),
    VideoModel(
        "dreamina_seedance_40_mini",
        "即梦 Seedance 2.0 mini",
        {"720p": "seedance_20_mini_720p_output"},
        _TO15,
        ("seedance_20_mini_720p_output_5s", "seedance_20_mini_720p_output_8s"),
        _OMNI,
        materials=_REF20,
    ),
    VideoModel(
        "dreamina_seedance_45_pro",
        "即梦 Seedance 2.5",
        {r: f"seedance_25_{r}_output" for r in ("480p", "720p", "1080p")},
        _TO30,
        tuple(f"seedance_25_{r}_no_input_video_output" for r in ("480p", "720p", "1080p")),
        _OMNI,
        price=12,
        materials=_REF25,
    ),
    VideoModel(
        "dreamina_seedance_45_pro_draft",
        "即梦 Seedance 2.5 样片",
        {"480p": "seedance_25_draft_480p_no_input_video_output"},
        _TO30,
        ("seedance_25_draft_480p_output",),
        _OMNI,
        price=9,
        materials=_REF25,
    ),
    VideoModel(
        "dreamina_ic_generate_video_model_vgfm_3.0_pro",
        "Seedance 1.0",
        {"1080p": "basic_video_operation_vgfm_v_three_pro"},
        (5, 10),
        (_V3,),
        price=10,
    ),
    VideoModel(
        "dreamina_ic_generate_video_model_vgfm_3.0_fast",
        "Seedance 1.0 Fast",
        {"720p": _V3, "1080p": f"{_V3}_1080"},
        (5, 10),
        price=2,
    ),
    VideoModel("dreamina_minimax_h3", "MiniMax H3", {"768p": "minimax_h3_768p_output"}, (5, 10)),
    VideoModel("dreamina_happyhorse_v1_1", "HappyHorse 1.1", {"720p": "happyhorse_11_720p_output"}, (5, 10)),
    VideoModel("dreamina_wan_30", "Wan 3.0", {"1080p": "wan_30_1080p_output"}, (5, 10)),
    VideoModel(
        "dreamina_ic_generate_video_model_vgfm_3.5_pro",
        "视频 3.5 Pro",
        {"720p": "dreamina_video_seedance_15_pro", "1080p": "dreamina_video_seedance_15_pro"},
        (5, 10, 12),
        withdrawn=True,
    ),
    VideoModel(
        "dreamina_ic_generate_video_model_vgfm_3.0",
        "视频 3.0",
        {"720p": _V3, "1080p": _V3},
        (5, 10),
        price=4,
        withdrawn=True,
    ),
    VideoModel(
        "dreamina_ic_generate_video_model_vgfm_lite", "视频 S2.0", {"720p": _V3}, (5, 10), withdrawn=True
    ),
    VideoModel(
        "dreamina_ic_generate_video_model_vgfm1.0", "视频 P2.0 Pro", {"720p": _V3}, (5,), withdrawn=True
    ),
)


@dataclass(slots=True)
class Catalogue:
    """What is on offer now: the tables, perhaps without the withdrawn models, and what was added since."""

    images: dict[str, ImageModel]
    videos: dict[str, VideoModel]

    @classmethod
    def of_site(cls, *, withdrawn: bool) -> Catalogue:
        """The site's own list."""
        return cls(
            {m.key: m for m in IMAGE_MODELS if withdrawn or not m.withdrawn},
            {m.key: m for m in VIDEO_MODELS if withdrawn or not m.withdrawn},
        )

    def add(self, model: ImageModel | VideoModel) -> None:
        """Offers a model; one with the same key is replaced."""
        if isinstance(model, ImageModel):
            self.images[model.key] = model
        else:
            self.videos[model.key] = model

    def withdraw(self, key: str) -> bool:
        """Offers it no longer; whether it was on offer."""
        return (self.images.pop(key, None) or self.videos.pop(key, None)) is not None


def picture_size(model: ImageModel, tier: str, code: int) -> tuple[int, int]:
    """Pixels of the finished picture: the resolution decides, whatever width and height were asked (3.3)."""
    return SIZES[model.tiers[tier]][code - 1]


def nearest_code(width: int, height: int) -> int:
    """The ratio code nearest to a size by numeric distance, as the site does it (3.3)."""
    wanted = width / height
    distances = [abs(w / h - wanted) for w, h in SIZES["4k"]]
    return distances.index(min(distances)) + 1


def video_size(resolution: str, aspect: str) -> tuple[int, int]:
    """Pixels of the finished video (4.3): the shorter side is the resolution's, both are even."""
    short = {"4k": 2160}.get(resolution) or int(resolution.removesuffix("p"))
    across, down = (int(part) for part in aspect.split(":"))
    if across >= down:
        return _even(short * across / down), short
    return short, _even(short * down / across)


def _even(value: float) -> int:
    return 2 * round(value / 2)
