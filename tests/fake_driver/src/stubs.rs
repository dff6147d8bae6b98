//! Functions that FFmpeg's loader insists on finding and that nothing here calls: graphics, external memory, linking of
//! kernels, video sources and parsers. Each says that it is not supported.

use crate::codes::{Code, NOT_SUPPORTED};

/// Arguments are left where the caller put them: the C calling conventions let a function take fewer than it is given.
macro_rules! unsupported {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> Code {
            NOT_SUPPORTED
        }
    )*};
}

unsupported! {
    cuArrayCreate_v2 cuDestroyExternalMemory cuDestroyExternalSemaphore cuDeviceGetByPCIBusId cuDeviceGetLuid
    cuEGLStreamConsumerDisconnect cuEGLStreamProducerConnect cuEGLStreamProducerDisconnect
    cuEGLStreamProducerPresentFrame cuEGLStreamProducerReturnFrame cuExternalMemoryGetMappedBuffer
    cuExternalMemoryGetMappedMipmappedArray cuGLGetDevices_v2 cuGraphicsGLRegisterImage cuGraphicsMapResources
    cuGraphicsResourceGetMappedPointer_v2 cuGraphicsSubResourceGetMappedArray cuGraphicsUnmapResources
    cuGraphicsUnregisterResource cuImportExternalMemory cuImportExternalSemaphore cuLinkAddData cuLinkComplete
    cuLinkCreate cuLinkDestroy cuMemAllocManaged cuMipmappedArrayDestroy cuMipmappedArrayGetLevel
    cuSignalExternalSemaphoresAsync cuStreamAddCallback cuWaitExternalSemaphoresAsync
    cuvidCreateVideoParser cuvidCreateVideoSource cuvidCreateVideoSourceW cuvidDestroyVideoParser
    cuvidDestroyVideoSource cuvidGetSourceAudioFormat cuvidGetSourceVideoFormat cuvidGetVideoSourceState
    cuvidParseVideoData cuvidReconfigureDecoder cuvidSetVideoSourceState
}
